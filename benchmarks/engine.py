"""How much of a library's speed is left behind our engine, and behind our HTTP server.

    python -m benchmarks.engine [--rounds N] [--engines llama mlx] [--at-once 1 4 16 32]

For each engine, with 1 to 32 requests at once, four sides take turns: the bare library in a
process of its own, our engine in this one, `ingle serve`, and the server that the library
brings along, the two with the same plain client. All have the same model of random weights,
the same settings, and write as many tokens. A ratio is the median of those of each turn, so
that a slow minute of the computer slows all sides.
"""

import argparse
import json
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from app.services import Services, open_everything
from benchmarks import peers
from benchmarks.measure import REPOSITORY, Runs, machine, print_table, ratios
from benchmarks.peers import Peer
from benchmarks.random_models import CONTEXT_LENGTH, SHAPES, SMALL, write_gguf, write_mlx
from models import chat
from models.chat import GenerateRequest, Origin, SamplingParams
from models.events import Event, Failed, Finished

CONCURRENT = (1, 4, 16, 32)
MAX_TOKENS = 96
# What the template of random_models.py makes of a prompt.
RENDERED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
GOALS = {"engine / library": 0.97, "HTTP / engine": 0.95, "HTTP / peer": 0.97}

Side: TypeAlias = Callable[[list[str]], float]
"""Runs these prompts at once; returns tokens a second, from the first byte in to the last out."""

_nonces = count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what engine and server cost.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["llama", "mlx"])
    parser.add_argument("--at-once", type=int, nargs="+", default=CONCURRENT)
    parser.add_argument("--mlx-model", choices=SHAPES, default="tiny")
    parser.add_argument("--dtype", default="float32", help="of the MLX weights")
    asked = parser.parse_args()
    print(
        f"{machine()}; {MAX_TOKENS} tokens a request, median (lowest–highest) of {asked.rounds}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with open_everything(home) as services:
            for kind in asked.engines:
                path = Path(folder) / kind
                if kind == "llama":
                    title, path = "llama.cpp, 135M Q8_0", path.with_suffix(".gguf")
                    write_gguf(path, SMALL)
                else:
                    title = f"MLX, {asked.mlx_model} {asked.dtype}"
                    write_mlx(path, SHAPES[asked.mlx_model], dtype=asked.dtype)
                services.store.import_path(path, kind)
                compare(title, kind, path, services, home, asked.at_once, asked.rounds)


def compare(
    title: str,
    kind: str,
    path: Path,
    services: Services,
    home: Path,
    at_once: Sequence[int],
    rounds: int,
) -> None:
    with ExitStack() as stack:
        peer = stack.enter_context(the_peer(kind, path))
        sides = (
            stack.enter_context(library_side(kind, path)),
            engine_side(services, kind),
            server_side(stack.enter_context(peers.ours(home, kind))),
            server_side(peer),
        )
        for side in sides:  # load, and see every size of batch once
            for concurrent in at_once:
                side(prompts(concurrent))
        print(f"### {title}; the peer is {peer.name}\n")
        goals = [f"{name} (goal ≥ {goal})" for name, goal in GOALS.items()]
        header = ["at once", "library tok/s", "engine tok/s", "HTTP tok/s", "peer tok/s", *goals]
        print_table(header, (measure(concurrent, sides, rounds) for concurrent in at_once))


def the_peer(kind: str, path: Path) -> AbstractContextManager[Peer]:
    if kind == "llama":
        return peers.llama_server(path, sequences=32, cells=32 * CONTEXT_LENGTH)
    return peers.mlx_server(path)


def measure(concurrent: int, sides: tuple[Side, ...], rounds: int) -> list[str]:
    speeds: tuple[list[float], ...] = tuple([] for _ in sides)
    turns = list(zip(sides, speeds, strict=True))
    for _ in range(rounds):
        for side, values in turns:
            values.append(side(prompts(concurrent)))
        turns.reverse()  # nobody is always the one after the pause
    library, engine, http, peer = map(Runs, speeds)
    found = [ratios(engine, library), ratios(http, engine), ratios(http, peer)]
    return [
        str(concurrent),
        *(runs.text(digits=1) for runs in (library, engine, http, peer)),
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


def server_side(peer: Peer) -> Side:
    def run(prompts: list[str]) -> float:
        speed, answers = peer.ask_all(prompts, MAX_TOKENS)
        check(sum(each.tokens for each in answers), len(prompts))
        return speed

    return run


def check(tokens: int, concurrent: int) -> None:
    """A side that wrote fewer tokens is not faster."""
    if tokens != MAX_TOKENS * concurrent:
        raise RuntimeError(f"{tokens} tokens came of {MAX_TOKENS * concurrent}")


if __name__ == "__main__":
    main()
