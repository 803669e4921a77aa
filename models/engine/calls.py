"""Reads the text of a tool call while it is being written: one reader a ``CallForm``.

A reader takes from ``Held`` what it has understood and leaves the rest: what nobody takes is
text, so that nothing is lost where there turns out to be no call.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, Protocol, cast

from models.engine.decoder import Held, Tokens
from models.model_family import CallForm, Calls


@dataclass(frozen=True, slots=True)
class Piece:
    """The name of a call, which begins it, or more of its arguments."""

    name: str = ""
    arguments: str = ""
    tokens: Tokens = ()


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


def reader_of(calls: Calls) -> CallReader:
    match calls.form:
        case CallForm.JSON:
            return JsonCall(calls)


class JsonCall:
    """``{"name": "look_up", "arguments": {"city": "Bern"}}``, and the end tag.

    Arguments are told as they come where the name stands before them. What else is JSON with a
    name in it is told at its end.
    """

    def __init__(self, calls: Calls) -> None:
        self.outcome = Outcome.OPEN
        self.faulty = False
        self._end = calls.end
        self._object = _Object(calls.end)
        self._arguments: list[str] = []
        self._step = self._read_head
        self._goes_on = True

    def read(self, held: Held, *, last: bool) -> Iterator[Piece]:
        self._goes_on = True
        while self._goes_on:
            self._goes_on = False
            yield from self._step(held, last)

    def _next(self, step: "_Step") -> None:
        self._step = step
        self._goes_on = True

    def _read_head(self, held: Held, last: bool) -> Iterator[Piece]:
        if (found := _HEAD.match(held.text)) and (name := _string(found[1])):
            span = held.take(found.end())
            yield Piece(name=name, tokens=span.tokens)
            self._object = _Object(self._end)
            self._arguments.clear()
            self._next(self._read_arguments)
            return
        self._object.read(held.text)
        if self._object.closed and (whole := _call_in(held.text[: self._object.length])):
            span = held.take(self._object.length)
            yield Piece(name=whole.name, tokens=span.tokens)
            yield Piece(arguments=whole.arguments)
            self._next(self._read_end)
        elif self._object.closed or self._object.broken or last:
            self.outcome = Outcome.TEXT

    def _read_arguments(self, held: Held, last: bool) -> Iterator[Piece]:
        said = self._object.read(held.text)
        if said:
            span = held.take(self._object.length)
            self._object.length = 0
            self._arguments.append(said)
            yield Piece(arguments=said, tokens=span.tokens)
        if self._object.closed or self._object.broken or last:
            self.faulty |= not _is_object("".join(self._arguments))
            closed, self._object = self._object.closed, _Object(self._end, depth=1)
            self._next(self._read_rest if closed else self._read_end)

    def _read_rest(self, held: Held, last: bool) -> Iterator[Piece]:
        """Pass over what else is in the object; that its last brace is missing is no matter."""
        self._object.read(held.text)
        held.take(self._object.length)
        self._object.length = 0
        if self._object.closed or self._object.broken or last:
            self._next(self._read_end)
        yield from ()

    def _read_end(self, held: Held, last: bool) -> Iterator[Piece]:
        held.take(len(held.text) - len(held.text.lstrip()))
        end = self._end
        if held.text.startswith(end) or (last and end.startswith(held.text)):
            held.take(len(end))
            self.outcome = Outcome.OVER
        elif end.startswith(held.text):
            return
        elif held.text[0] == "}":
            held.take(1)
            self._next(self._read_end)
        elif held.text[0] == "{":
            self._object = _Object(end)
            self._next(self._read_head)
        else:
            self.outcome = Outcome.OVER
        yield from ()


class _Step(Protocol):
    def __call__(self, held: Held, last: bool) -> Iterator[Piece]: ...


# Anything in it may have been escaped, and there may be spaces everywhere.
_HEAD = re.compile(
    r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)',
    re.DOTALL,
)


class _Object:
    """Finds the end of a JSON object while it comes; ``end`` is the tag that follows it.

    What is wrong inside is for others to find, except that a line break in a string, which
    JSON would have escaped, is escaped.
    """

    def __init__(self, end: str, *, depth: int = 0) -> None:
        self.length = 0  # of the text that has been read
        self.closed = False
        self.broken = False  # it does not begin like one, or the tag comes first
        self._end = end
        self._marks = _marks(end[0])
        self._depth = depth
        self._in_string = False

    def read(self, text: str) -> str:
        """Go on behind ``length``; return what was read."""
        start = at = self.length
        said: list[str] = []
        while at < len(text) and not self.closed:
            found = (_IN_STRING if self._in_string else self._marks).search(text, at)
            if self._depth == 0 and not self._begins(text, at):
                break
            if found is None:
                at = len(text)
                break
            mark, at = found[0], found.end()
            if mark == "\\":
                if at == len(text):
                    at -= 1  # it waits for what it escapes
                    break
                at += 1
            elif self._in_string and mark != '"':
                said.append(text[start : at - 1] + json.dumps(mark)[1:-1])
                start = at
            elif mark == self._end[0]:
                if self._may_end(text, at - 1):
                    at -= 1
                    break
            else:
                self._take(mark)
        said.append(text[start:at])
        self.length = at
        return "".join(said)

    def _begins(self, text: str, at: int) -> bool:
        self.broken = text[at:].lstrip()[:1] not in ("", "{")
        return not self.broken

    def _may_end(self, text: str, at: int) -> bool:
        found = text[at : at + len(self._end)]
        self.broken = found == self._end
        return self._end.startswith(found)

    def _take(self, mark: str) -> None:
        if mark == '"':
            self._in_string = not self._in_string
        else:
            self._depth += 1 if mark in "{[" else -1
            self.closed = self._depth == 0


_IN_STRING = re.compile(r'["\\\x00-\x1f]')


@cache
def _marks(end: str) -> re.Pattern[str]:
    return re.compile(r'["{}\[\]' + re.escape(end) + "]")


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    arguments: str


def _call_in(text: str) -> _Call | None:
    """Return the call that a JSON text is; None: it is none."""
    try:
        found: Any = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"name": str(name), **others} if name:
            given = cast("Mapping[str, Any]", others)
        case _:
            return None
    arguments: Any = given.get("arguments", given.get("parameters", {}))
    if isinstance(arguments, str):  # some write them as a text that is JSON
        return _Call(name, arguments) if _is_object(arguments) else None
    return _Call(name, json.dumps(arguments or {}, ensure_ascii=False))


def _string(text: str) -> str:
    """Return what a JSON string says; "": it is none."""
    try:
        return json.loads(text, strict=False)
    except ValueError:
        return ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
