"""How long running streams stand still while a long prompt arrives, for several chunk sizes.

    python -m benchmarks.gaps [--engines llama mlx] [--chunks 32 64 128 256 512]

Two streams run, then a prompt of 4,000 tokens comes. A step is the median time between two
tokens of a stream before that; a chunk alone is what the same prompt takes with nobody beside
it, for each of its chunks. The engine's own chunk is the row marked with a star.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from app.services import Services, open_everything
from benchmarks.chunks import chosen_chunk, set_chunk
from benchmarks.clients import longest_gap
from benchmarks.first_token import CONTEXT_LENGTH, text_of
from benchmarks.measure import Runs, machine, print_table
from benchmarks.random_models import SHAPES, write_gguf, write_mlx
from models import chat
from models.chat import GenerateRequest, Origin, SamplingParams, UnloadRequest
from models.events import Event, Failed, Finished, Last, Progress, Stage, Started, TextDelta

GOAL = 1.5
_STREAMS = 2
_WORDS = 1220  # some 4,000 tokens of a random vocabulary
_WARM_SECONDS = 3.0
_POLL_SECONDS = 0.01


class Listener:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.prompt_tokens = 0
        self.read: list[tuple[float, int]] = []  # when, and how much of the prompt was read
        self.last: Event | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case TextDelta():
                self.times.append(perf_counter())
            case Started(prompt_tokens):
                self.prompt_tokens = prompt_tokens
            case Progress(Stage.PREFILL, done, _):
                self.read.append((perf_counter(), done))
            case _ if isinstance(event, Last):
                self.last = event
            case _:
                pass

    def slowest(self, chunk: int) -> float:
        """Return the seconds of the chunk that took longest; where several were told of at
        once, of the mean of these."""
        pairs = [(b - a, after - before) for (a, before), (b, after) in pairwise(self.read)]
        return max((took * chunk / count for took, count in pairs if count >= chunk), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the gap that a long prompt makes.")
    parser.add_argument("--engines", nargs="+", default=["llama", "mlx"])
    parser.add_argument("--chunks", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--model", choices=SHAPES, default="small")
    parser.add_argument("--dtype", default="float32", help="of the MLX weights")
    parser.add_argument("--words", type=int, default=_WORDS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{machine()}; median (lowest–highest) of {asked.rounds}\n")
    with tempfile.TemporaryDirectory() as folder, open_everything(Path(folder) / "home") as opened:
        for engine in asked.engines:
            path = Path(folder) / engine
            if engine == "llama":
                path = path.with_suffix(".gguf")
                write_gguf(path, SHAPES[asked.model], CONTEXT_LENGTH)
            else:
                write_mlx(path, SHAPES[asked.model], CONTEXT_LENGTH, asked.dtype)
            opened.store.import_path(path, engine)
            print(f"### {engine}\n")
            header = ["chunk", "prompt tokens", "a step, ms", "prefill alone, tok/s"]
            header += [
                "longest gap, ms",
                f"gap / (step + chunk alone) (goal ≤ {GOAL})",
                "gap / (step + slowest chunk alone)",
                "gap / step",
            ]
            print_table(header, rows(opened, engine, asked.chunks, asked.words, asked.rounds))


def rows(
    services: Services, engine: str, chunks: list[int], words: int, rounds: int
) -> Iterator[list[str]]:
    for chunk in chunks:
        star = "*" if chunk == chosen_chunk(engine) else ""
        with set_chunk(engine, chunk):
            found = [measure(services, engine, words, chunk, n) for n in range(rounds)]
            wait_for(services, UnloadRequest(model=engine))
        tokens = found[0][0]
        steps, alone, slowest, gaps = (Runs([each[n] for each in found]) for n in range(1, 5))
        expected = steps.median + alone.median * chunk / tokens
        ratio = gaps.median / expected
        yield [
            f"{chunk}{star}",
            str(tokens),
            Runs([each * 1000 for each in steps.values]).text(digits=1),
            Runs([tokens / each for each in alone.values]).text(digits=0),
            Runs([each * 1000 for each in gaps.values]).text(digits=1),
            f"{ratio:.2f}: {'met' if ratio <= GOAL else 'MISSED'}",
            f"{gaps.median / (steps.median + slowest.median):.2f}",
            f"{gaps.median / steps.median:.1f}",
        ]


def measure(
    services: Services, model: str, words: int, chunk: int, round_: int
) -> tuple[int, float, float, float, float]:
    """Return prompt tokens; and the seconds of a step, of the prompt alone, of its slowest chunk,
    and of the longest gap."""
    random = Random(f"{chunk} {round_}")
    alone = Listener()
    submit(services, model, text_of(words, random), 1, alone)  # loads it, and warms it up
    wait(alone)
    submit(services, model, text_of(words, random), 2, alone := Listener())
    began = perf_counter()
    wait(alone)
    alone_seconds = alone.times[0] - began
    streams = [Listener() for _ in range(_STREAMS)]
    tickets = [
        submit(services, model, f"{n} {chunk} {round_}", None, each)
        for n, each in enumerate(streams)
    ]
    while not all(len(each.times) > 2 for each in streams):
        time.sleep(_POLL_SECONDS)
    time.sleep(_WARM_SECONDS)
    before = [after - one for each in streams for one, after in pairwise(each.times)]
    came = perf_counter()
    submit(services, model, text_of(words, random), 2, newcomer := Listener())
    wait(newcomer)
    gap = max(longest_gap(each.times, came, newcomer.times[0]) for each in streams)
    for ticket in tickets:
        services.residency.cancel(ticket)
    for each in streams:
        wait(each)
    return newcomer.prompt_tokens, median(before), alone_seconds, alone.slowest(chunk), gap


def submit(
    services: Services, model: str, text: str, max_tokens: int | None, listener: Listener
) -> int:
    request = GenerateRequest(
        model=model,
        prompt=(chat.user(text),),
        sampling=SamplingParams(temperature=0.0),
        max_tokens=max_tokens,
        context_length=CONTEXT_LENGTH,
    )
    return services.residency.submit(request, listener, origin=Origin("command"))


def wait(listener: Listener) -> None:
    while listener.last is None:
        time.sleep(_POLL_SECONDS)
    if isinstance(listener.last, Failed):
        raise listener.last.error
    assert isinstance(listener.last, Finished) or listener.last is not None


def wait_for(services: Services, request: UnloadRequest) -> None:
    listener = Listener()
    services.residency.submit(request, listener, origin=Origin("command"))
    while listener.last is None:
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
