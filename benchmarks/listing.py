"""Looking into a home with many models: what `/api/tags` and `/v1/models` wait for.

python -m benchmarks.listing [--models N] [--runs N]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Runs, machine, print_table
from models import builtin
from models.store import Store

_THOUSAND = 1000
_LONG_AGO = 1_700_000_000  # when the records were written: what has just changed is read again


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure looking into a home with many models.")
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--runs", type=int, default=51)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home, options.models)
        store = Store(home, builtin.FOLDER)
        first = milliseconds(store.list, 1)
        rows = [
            ["first list", first],
            ["list", milliseconds(store.list, options.runs)],
            ["find", milliseconds(lambda: store.find("org/model-7:Q4_K_M"), options.runs)],
        ]
    print_table([f"{options.models} models", "milliseconds"], rows)


def fill(home: Path, count: int) -> None:
    """Give the model that ships with the program many names."""
    store = Store(home, builtin.FOLDER)
    for number in range(count):
        store.copy("pocket", f"org/model-{number}:Q4_K_M")
    for path in (home / "models/manifests").iterdir():
        os.utime(path, (_LONG_AGO, _LONG_AGO))


def milliseconds(work: Callable[[], object], runs: int) -> str:
    values: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        values.append((time.perf_counter() - start) * _THOUSAND)
    return Runs(values).text(digits=3)


if __name__ == "__main__":
    main()
