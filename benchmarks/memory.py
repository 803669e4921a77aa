"""Whether memory grows with the number of requests, and comes back when a model is let go.

    python -m benchmarks.memory [--requests 200] [--engines llama mlx]

Resident memory of the program and of its children, in MB: before anything is loaded, after
a tenth of the requests, after all of them, and after the model has been let go. After a tenth
the prompts come again: what is remembered of them is no growth.
"""

import argparse
import gc
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from app.services import Services, open_everything
from benchmarks.first_token import text_of
from benchmarks.gaps import Listener, submit, wait, wait_for
from benchmarks.measure import machine, print_table
from benchmarks.random_models import SHAPES, write_gguf, write_mlx
from models.chat import UnloadRequest

_GROWTH = 1.05
_BACK = 1.2
_AT_ONCE = 4
_MAX_TOKENS = 24
_WORDS = 150


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether memory grows.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--engines", nargs="+", default=["llama", "mlx"])
    parser.add_argument("--model", choices=SHAPES, default="tiny")
    asked = parser.parse_args()
    print(f"{machine()}\n")
    header = ["engine", "before", "a tenth of them", "all", "unloaded", "growth", "given back"]
    with tempfile.TemporaryDirectory() as folder, open_everything(Path(folder) / "home") as opened:
        for engine in asked.engines:
            path = Path(folder) / engine
            if engine == "llama":
                path = path.with_suffix(".gguf")
                write_gguf(path, SHAPES[asked.model])
            else:
                write_mlx(path, SHAPES[asked.model])
            opened.store.import_path(path, engine)
        rows = (row(opened, engine, asked.requests) for engine in asked.engines)
        print_table(header, rows)


def row(services: Services, engine: str, requests: int) -> list[str]:
    # The library itself, which stays: loaded once, it is no part of what is asked here.
    run(services, engine, 1)
    wait_for(services, UnloadRequest(model=engine))
    before = used_mb()
    run(services, engine, requests // 10)
    tenth = used_mb()
    for _ in range(9):
        run(services, engine, requests // 10)
    everything = used_mb()
    wait_for(services, UnloadRequest(model=engine))
    unloaded = used_mb()
    return [
        engine,
        *(f"{each:.0f}" for each in (before, tenth, everything, unloaded)),
        verdict(everything / tenth, _GROWTH),
        verdict(unloaded / before, _BACK),
    ]


def verdict(ratio: float, most: float) -> str:
    return f"{ratio:.2f} (goal ≤ {most}): {'met' if ratio <= most else 'MISSED'}"


def run(services: Services, engine: str, requests: int) -> None:
    for some in batches(requests):
        listeners = [Listener() for _ in some]
        for seed, listener in zip(some, listeners, strict=True):
            submit(services, engine, text_of(_WORDS, Random(seed)), _MAX_TOKENS, listener)
        for listener in listeners:
            wait(listener)


def batches(requests: int) -> Iterator[range]:
    for first in range(0, requests, _AT_ONCE):
        yield range(first, min(first + _AT_ONCE, requests))


def used_mb() -> float:
    gc.collect()
    process = psutil.Process()
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return total / 1e6


if __name__ == "__main__":
    main()
