"""Whether memory grows with the number of requests, and comes back when a model is let go.

    python -m benchmarks.memory [--requests 200] [--engines llama mlx] [--model tiny]

Resident memory of the program and of its children, in MB. A model is loaded, asked and let go
three times. The first time, with one request, brings the libraries, which no program can give
back: what they left is the measure for what comes after. The second time it is measured after a
tenth of the requests and after all of them; after a tenth the prompts come again, so that what
is remembered of them is no growth. What the third time leaves is held against the second.
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
_HEADER = [
    "engine",
    "before any",
    "libraries alone",
    "a tenth of them",
    "all",
    "unloaded",
    "all again",
    "unloaded again",
    "all / a tenth",
    "unloaded / libraries",
    "unloaded again / unloaded",
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether memory grows.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--engines", nargs="+", default=["llama", "mlx"])
    parser.add_argument("--model", choices=SHAPES, default="tiny")
    asked = parser.parse_args()
    print(f"{machine()}\n")
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
        print_table(_HEADER, rows)


def row(services: Services, engine: str, requests: int) -> list[str]:
    before = used_mb()
    run(services, engine, 1)
    libraries = unload(services, engine)
    run(services, engine, requests // 10)
    tenth = used_mb()
    all_of_them = run_all(services, engine, requests)
    unloaded = unload(services, engine)
    again = run_all(services, engine, requests)
    unloaded_again = unload(services, engine)
    figures = (before, libraries, tenth, all_of_them, unloaded, again, unloaded_again)
    return [
        engine,
        *(f"{each:.0f}" for each in figures),
        verdict(all_of_them / tenth, _GROWTH),
        verdict(unloaded / libraries, _BACK),
        verdict(unloaded_again / unloaded, _GROWTH),
    ]


def verdict(ratio: float, most: float) -> str:
    return f"{ratio:.2f} (goal ≤ {most}): {'met' if ratio <= most else 'MISSED'}"


def run_all(services: Services, engine: str, requests: int) -> float:
    """Return what is used after the requests, a tenth of them at a time."""
    for _ in range(10):
        run(services, engine, requests // 10)
    return used_mb()


def unload(services: Services, engine: str) -> float:
    """Return what is used after that."""
    wait_for(services, UnloadRequest(model=engine))
    return used_mb()


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
