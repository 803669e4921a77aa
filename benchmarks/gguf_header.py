"""Reading a GGUF header with a large vocabulary: ours against the ``gguf`` package.

    python -m benchmarks.gguf_header [--runs N]

2026-11-21, linux, 2 cores, 24 GiB, Python 3.11.7, load average 5.0, seconds:

    models.gguf.read    0.24 (0.23–0.41)
    gguf.GGUFReader    30.48 (26.29–30.80)
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gguf

from benchmarks.measure import Runs, machine, print_table
from models.gguf import read

TOKENS, MERGES = 152_000, 151_000  # as Qwen's


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reading a GGUF header.")
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write(path)
        rows = [
            ["models.gguf.read", seconds(lambda: read(path), runs)],
            ["gguf.GGUFReader", seconds(lambda: gguf.GGUFReader(path), runs)],
        ]
    print_table(["reader", "seconds"], rows)


def write(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"token{number}" for number in range(TOKENS)])
    writer.add_token_types([1] * TOKENS)
    writer.add_token_merges([f"left{number} right{number}" for number in range(MERGES)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def seconds(work: Callable[[], object], runs: int) -> str:
    values: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        values.append(time.perf_counter() - start)
    return Runs(values).text()


if __name__ == "__main__":
    main()
