"""How long a vector of ``pocket`` on llama.cpp waits beside an answer, and the answer for vectors.

    python -m benchmarks.vectors [--tokens 2000] [--rows 300] [--rounds 3]

A row of 400 tokens, alone and beside an answer of so many tokens; then half as long an answer,
alone and beside so many rows of 40. Beside each the tokens that the other had of it meanwhile.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from app.services import open_everything
from benchmarks.measure import Runs, machine, print_table
from models.chat import EmbedRequest, GenerateRequest, Origin, Request, SamplingParams
from models.events import Event, Last, Progress, TextDelta
from models.residency import Residency

_MODEL = "pocket:latest"
_CONTEXT_LENGTH = 4096
_ORIGIN = Origin("api", "vectors")
_GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)


class Listener:
    """One request on its way: of ``tokens`` so many have been written, or read to embed them."""

    def __init__(self, residency: Residency, request: Request) -> None:
        self.tokens = 0
        self._begun, self._ended = threading.Event(), threading.Event()
        self._asked = perf_counter()
        self.seconds = 0.0
        residency.submit(request, self, origin=_ORIGIN)

    def __call__(self, event: Event) -> None:
        match event:
            case TextDelta():
                self.tokens += 1
                self._begun.set()
            case Progress(_, done, _):
                self.tokens = done
            case _ if isinstance(event, Last):
                self.seconds = perf_counter() - self._asked
                self._begun.set()
                self._ended.set()
            case _:
                pass

    def writes(self) -> "Listener":
        self._begun.wait()
        return self

    def end(self) -> "Listener":
        self._ended.wait()
        return self


def answer(tokens: int) -> GenerateRequest:
    return GenerateRequest(
        model=_MODEL,
        prompt="Once upon a time",
        sampling=_GREEDY,
        max_tokens=tokens,
        context_length=_CONTEXT_LENGTH,
    )


def vectors(rows: int, tokens: int) -> EmbedRequest:
    row = tuple(300 + place % 100 for place in range(tokens))
    return EmbedRequest(model=_MODEL, inputs=(row,) * rows, context_length=_CONTEXT_LENGTH)


def once(residency: Residency, tokens: int, rows: int) -> Iterator[tuple[str, float, int]]:
    """Yield what took so many seconds, and how many tokens of the other."""
    yield "a row alone", Listener(residency, vectors(1, 400)).end().seconds, 0
    writer = Listener(residency, answer(tokens)).writes()
    before = writer.tokens
    row = Listener(residency, vectors(1, 400)).end()
    yield "a row beside an answer", row.seconds, writer.tokens - before
    yield "that answer", writer.end().seconds, 400
    yield "that answer alone", Listener(residency, answer(tokens)).end().seconds, 0
    many = Listener(residency, vectors(rows, 40))
    half = Listener(residency, answer(tokens // 2)).end()
    yield "half of it beside many rows", half.seconds, many.tokens
    yield "many rows", many.end().seconds, 0
    yield "half of it alone", Listener(residency, answer(tokens // 2)).end().seconds, 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure vectors beside an answer.")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{machine()}; {_MODEL}\n")
    with tempfile.TemporaryDirectory() as folder, open_everything(Path(folder)) as services:
        Listener(services.residency, answer(1)).end()  # it is loaded
        rounds = [
            list(once(services.residency, asked.tokens, asked.rows)) for _ in range(asked.rounds)
        ]
    lines = zip(*rounds, strict=True)
    print_table(
        ["what", "seconds", "tokens of the other"],
        (
            [
                line[0][0],
                Runs([each[1] for each in line]).text(),
                Runs([each[2] for each in line]).text("", 0),
            ]
            for line in lines
        ),
    )


if __name__ == "__main__":
    main()
