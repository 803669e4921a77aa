"""Tokens to text to events, once for every backend: a chain of small stages.

    bytes -> Utf8 -> StopStrings -> Channel -> deltas

A ``Span`` goes through it: text, and the tokens that made it. Each stage keeps back what
it cannot decide yet (half a character, what may be the beginning of a stop string or of a
tag) together with its tokens, so that the two stay aligned whatever is held.
"""

import codecs
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from models.events import Delta, FinishReason, TextDelta, TokenLogprob

Tokens = tuple[TokenLogprob, ...]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    tokens: Tokens = ()


class Channel(Protocol):
    """The last stage: sorts text into what is said, thought and called."""

    thinking: bool  # what comes next is thought
    calls: int  # so far
    unread_calls: int  # so far

    def feed(self, span: Span) -> Iterator[Delta]: ...

    def end(self) -> Iterator[Delta]:
        """Give out what was kept back: no more text comes."""
        ...


class PlainText:
    """All of it is said. A ``Channel`` for models that have one."""

    thinking = False
    calls = 0
    unread_calls = 0

    def feed(self, span: Span) -> Iterator[Delta]:
        if span.text:
            yield TextDelta(span.text, span.tokens)

    def end(self) -> Iterator[Delta]:
        yield from ()


class Utf8:
    """Bytes to text. Half a character waits for its rest, with its tokens.

    What is no UTF-8 goes through the chain as Python's stand-ins for bytes (PEP 383), so
    that it can still be told how many bytes were said.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode
        self._tokens: Tokens = ()

    def feed(self, piece: bytes, tokens: Tokens) -> Span:
        text = self._decode(piece)
        if tokens or self._tokens:
            self._tokens += tokens
            if not text:
                return Span("")
            tokens, self._tokens = self._tokens, ()
        return Span(text, tokens)


class Held:
    """Text that waits, with the tokens that made it."""

    def __init__(self) -> None:
        self.text = ""
        self._tokens: list[tuple[int, TokenLogprob]] = []  # each with where it begins in the text

    def add(self, span: Span) -> None:
        if span.tokens:
            self._tokens += [(len(self.text), each) for each in span.tokens]
        self.text += span.text

    def take(self, length: int) -> Span:
        """Return so much of the text, with the tokens that begin in it."""
        text, self.text = self.text[:length], self.text[length:]
        if not self._tokens:
            return Span(text)
        tokens = tuple(token for start, token in self._tokens if start < length)
        self._tokens = [(start - length, each) for start, each in self._tokens if start >= length]
        return Span(text, tokens)


class StopStrings:
    """Ends the text where the first stop string begins."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(each for each in stop if each)
        self._held = Held()
        self.found: str | None = None

    def feed(self, span: Span, *, last: bool) -> Span:
        """Return what can be said now; with ``last`` all of it."""
        if not self._stop:
            return span
        self._held.add(span)
        text = self._held.text
        end, self.found = self._first(text)
        if self.found is None:
            end = len(text) - (0 if last else undecided(text, self._stop))
        return self._held.take(end)

    def _first(self, text: str) -> tuple[int, str | None]:
        places = [(text.find(stop), stop) for stop in self._stop if stop in text]
        return min(places, key=lambda each: each[0], default=(0, None))


def undecided(text: str, sought: tuple[str, ...]) -> int:
    """Length of the longest tail that one of the texts sought could begin with."""
    longest = 0
    for each in sought:
        end = text[max(0, len(text) - len(each) + 1) :]
        at = end.find(each[0])
        while at >= 0 and not each.startswith(end[at:]):
            at = end.find(each[0], at + 1)
        if at >= 0:
            longest = max(longest, len(end) - at)
    return longest


class Decoder:
    """The chain for one sequence. Half a character at the very end is dropped."""

    def __init__(self, stop: tuple[str, ...], channel: Channel | None = None) -> None:
        self._utf8 = Utf8()
        self._stop = StopStrings(stop)
        self._channel = channel or PlainText()
        self.said_bytes = 0  # of those that were fed, before the stop string

    @property
    def stop_string(self) -> str | None:
        """The one that ended it."""
        return self._stop.found

    def feed(
        self, piece: bytes, finish: FinishReason | None, tokens: Tokens = ()
    ) -> tuple[list[Delta], FinishReason | None]:
        """Return what can be said now, and why the sequence ended if it did."""
        span = self._stop.feed(self._utf8.feed(piece, tokens), last=finish is not None)
        if self._stop.found is not None:
            finish = FinishReason.STOP_STRING
        said = span.text.encode(errors="surrogateescape")
        self.said_bytes += len(said)
        deltas = list(self._channel.feed(Span(said.decode(errors="replace"), span.tokens)))
        if finish:
            deltas += self._channel.end()
            if unread := self._channel.unread_calls:
                log.warning("Of a model's tool calls %d could not be read", unread)
        return deltas, finish
