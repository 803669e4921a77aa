"""Reads the text of a tool call while it is being written: what a reader is, and which reads what.

A reader takes from ``Held`` what it has understood and leaves the rest: what nobody takes is
text, so that nothing is lost where there turns out to be no call.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from models.engine.decoder import Held, Tokens


@dataclass(frozen=True, slots=True)
class Piece:
    """The name of a call, which begins it, or more of its arguments."""

    name: str = ""
    arguments: str = ""
    tokens: Tokens = ()
    call_id: str = ""  # as the model has it; with the name


class Outcome(Enum):
    OPEN = auto()  # more is to come
    OVER = auto()  # the end tag has been read, or is not to come any more
    TEXT = auto()  # there is no call: the tag is text, as is what is held


class CallReader(Protocol):
    """Reads what stands behind one begin tag: a call, or several."""

    outcome: Outcome
    faulty: bool  # a call whose name has been told has arguments that are no JSON

    def read(self, held: Held, *, last: bool) -> Iterator[Piece]:
        """Take what can be understood now; with ``last`` no more comes."""
        ...


class Step(Protocol):
    def __call__(self, held: Held, last: bool) -> Iterator[Piece]: ...


class SteppedReader:
    """A reader that goes from step to step, as far as the text does."""

    def __init__(self, first: Step) -> None:
        self.outcome = Outcome.OPEN
        self.faulty: bool = False
        self._step = first
        self._goes_on = True

    def read(self, held: Held, *, last: bool) -> Iterator[Piece]:
        self._goes_on = True
        while self._goes_on:
            self._goes_on = False
            yield from self._step(held, last)

    def _next(self, step: Step) -> None:
        self._step = step
        self._goes_on = True


def skip_space(held: Held) -> None:
    held.take(len(held.text) - len(held.text.lstrip()))


def passed(held: Held, text: str, *, last: bool) -> bool | None:
    """Take a text if it comes next, whatever space is before it; None: that is not known yet."""
    rest = held.text.lstrip()
    if rest.startswith(text):
        held.take(len(held.text) - len(rest) + len(text))
        return True
    return None if text.startswith(rest) and not last else False
