"""How much of a library's speed is left behind our engine, and behind our HTTP server.

    python -m benchmarks.engine [--rounds N]

For each engine, with 1, 4 and 8 requests at once, three sides take turns: the bare library
in a process of its own, our engine in this one, and `ingle serve` with a plain client. All
have the same model of random weights, the same settings, and write as many tokens. A ratio
is the median of those of each turn, so that a slow minute of the computer slows all sides.
"""

import argparse
import json
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from app.services import Services, open_everything
from benchmarks.measure import REPOSITORY, Runs, Server, machine, print_table, ratios, serve
from benchmarks.random_models import SMALL, TINY, write_gguf, write_mlx
from models import chat
from models.chat import GenerateRequest, Origin, SamplingParams
from models.events import Event, Failed, Finished

CONCURRENT = (1, 4, 8)
MAX_TOKENS = 96
# What the template of random_models.py makes of a prompt.
RENDERED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
GOALS = {"engine / library": 0.97, "HTTP / engine": 0.95}

Side: TypeAlias = Callable[[list[str]], float]
"""Runs these prompts at once; returns tokens a second, from the first byte in to the last out."""

_nonces = count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what engine and server cost.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    print(f"{machine()}; {MAX_TOKENS} tokens a request, median (lowest–highest) of {rounds}\n")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with open_everything(home) as services:
            gguf, mlx = Path(folder) / "small.gguf", Path(folder) / "tiny"
            write_gguf(gguf, SMALL)
            write_mlx(mlx, TINY)
            services.store.import_path(gguf, "small")
            services.store.import_path(mlx, "tiny")
            compare("llama.cpp, 135M Q8_0", "llama", gguf, services, home, rounds)
            compare("MLX, 5M fp32", "mlx", mlx, services, home, rounds)


def compare(title: str, kind: str, path: Path, services: Services, home: Path, rounds: int) -> None:
    with ExitStack() as stack:
        sides = (
            stack.enter_context(library_side(kind, path)),
            engine_side(services, path.stem),
            http_side(stack.enter_context(serve(home)), path.stem),
        )
        for side in sides:  # load, and see every size of batch once
            for concurrent in CONCURRENT:
                side(prompts(concurrent))
        rows = [measure(concurrent, sides, rounds) for concurrent in CONCURRENT]
    print(f"### {title}\n")
    goals = [f"{name} (goal ≥ {goal})" for name, goal in GOALS.items()]
    print_table(["at once", "library tok/s", "engine tok/s", "HTTP tok/s", *goals], rows)


def measure(concurrent: int, sides: tuple[Side, Side, Side], rounds: int) -> list[str]:
    speeds: tuple[list[float], ...] = tuple([] for _ in sides)
    turns = list(zip(sides, speeds, strict=True))
    for _ in range(rounds):
        for side, values in turns:
            values.append(side(prompts(concurrent)))
        turns.reverse()  # nobody is always the one after the pause
    library, engine, http = map(Runs, speeds)
    found = [ratios(engine, library), ratios(http, engine)]
    return [
        str(concurrent),
        *(runs.text(digits=1) for runs in (library, engine, http)),
        *(
            f"{ratio.text(digits=3)}: {'met' if ratio.median >= goal else 'MISSED'}"
            for ratio, goal in zip(found, GOALS.values(), strict=True)
        ),
    ]


def prompts(concurrent: int) -> list[str]:
    """Each different from the first word on: no cache of earlier prompts helps anyone."""
    return [f"{next(_nonces)} is the number of this story" for _ in range(concurrent)]


@contextmanager
def library_side(kind: str, path: Path) -> Generator[Side]:
    with tempfile.TemporaryFile("w+") as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_library", kind, str(path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
        )
        assert child.stdin and child.stdout, "made with PIPE"
        stdin, stdout = child.stdin, child.stdout

        def run(prompts: list[str]) -> float:
            rendered = [RENDERED.format(prompt) for prompt in prompts]
            stdin.write(json.dumps({"prompts": rendered, "max_tokens": MAX_TOKENS}) + "\n")
            stdin.flush()
            line = stdout.readline()
            if not line:
                words.seek(0)
                raise RuntimeError(f"The bare library ended:\n{words.read()}")
            answer = json.loads(line)
            check(answer["tokens"], len(prompts))
            return answer["tokens"] / answer["seconds"]

        try:
            yield run
        finally:
            stdin.close()
            child.wait()
            stdout.close()


def engine_side(services: Services, model: str) -> Side:
    def run(prompts: list[str]) -> float:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        started = perf_counter()
        for prompt in prompts:
            request = GenerateRequest(
                model=model,
                prompt=(chat.user(prompt),),
                sampling=SamplingParams(temperature=0.0),
                max_tokens=MAX_TOKENS,
            )
            services.residency.submit(request, events.put, origin=Origin("command"))
        tokens, running = 0, len(prompts)
        while running:
            match events.get():
                case Finished(usage=usage):
                    tokens += usage.completion_tokens
                    running -= 1
                case Failed(error):
                    raise error
                case _:
                    pass
        seconds = perf_counter() - started
        check(tokens, len(prompts))
        return tokens / seconds

    return run


def http_side(server: Server, model: str) -> Side:
    def run_one(prompt: str) -> int:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return completion_tokens(server.stream("/v1/chat/completions", body))

    def run(prompts: list[str]) -> float:
        started = perf_counter()
        with ThreadPoolExecutor(len(prompts)) as pool:
            tokens = sum(pool.map(run_one, prompts))
        seconds = perf_counter() - started
        check(tokens, len(prompts))
        return tokens / seconds

    return run


def completion_tokens(lines: Iterator[bytes]) -> int:
    """What the stream says of itself at its end. The rest is read and not parsed."""
    last = b""
    for line in lines:
        if line.startswith(b"data: {"):
            last = line
    return json.loads(last.removeprefix(b"data: "))["usage"]["completion_tokens"]


def check(tokens: int, concurrent: int) -> None:
    """A side that wrote fewer tokens is not faster."""
    if tokens != MAX_TOKENS * concurrent:
        raise RuntimeError(f"{tokens} tokens came of {MAX_TOKENS * concurrent}")


if __name__ == "__main__":
    main()
