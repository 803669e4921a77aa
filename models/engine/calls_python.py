"""Reader of calls that look like Python's."""

import json
import re
from collections.abc import Collection, Iterator

from models.engine.calls import Outcome, Piece, SteppedReader, skip_space
from models.engine.calls_json import JsonCall
from models.engine.decoder import Held
from models.engine.typed_values import literal_as_json
from models.markup import Calls

_LONGEST_HEAD = 256  # characters
_HEAD = re.compile(r"\s*(?P<name>[^\W\d][\w.\-]*)\(")
_KEY = re.compile(r"\s*([^\W\d]\w*)\s*=\s*(?=\S)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_BEHIND = re.compile(r"\s*(?:,\s*[^\W\d]\w*\s*=|\)\s*(?:[,\]]|$))")
_MAY_BE_BEHIND = re.compile(r"\s*(?:,\s*\w*\s*|\)\s*)?$")


class PythonCalls(SteppedReader):
    """``[look_up(city="Bern", days=2), ping()]`` and the end tag. Each argument is told when it is
    whole. With ``names``, one of which the first must have, what is none of them is text.
    """

    def __init__(self, calls: Calls, names: Collection[str] = ()) -> None:
        super().__init__(self._read_open)
        self._row = calls
        self._names = names
        self._json = JsonCall(calls, names)
        self._count = 0  # of arguments
        self._told = False  # a call
        self._before = 0  # characters in front of the first

    def _read_open(self, held: Held, last: bool) -> Iterator[Piece]:
        yield from ()
        text = held.text.lstrip()
        if not text and not last:
            return
        rest = text.removeprefix("[").lstrip()
        if text.startswith("[") and not rest and not last:
            return
        if rest.startswith("{"):
            self._next(self._read_json)
            return
        self._before = len(held.text) - len(rest)
        self._next(self._read_head)

    def _read_json(self, held: Held, last: bool) -> Iterator[Piece]:
        """Some of these models write JSON instead."""
        yield from self._json.read(held, last=last)
        self.outcome, self.faulty = self._json.outcome, self._json.faulty

    def _read_head(self, held: Held, last: bool) -> Iterator[Piece]:
        text = held.text[self._before :]
        if self._names and not any(f"{n}(".startswith(text[: len(n) + 1]) for n in self._names):
            self.outcome = Outcome.OVER if self._told else Outcome.TEXT
        elif found := _HEAD.match(text):
            span = held.take(self._before + found.end())
            self._before, self._count, self._told = 0, 0, True
            yield Piece(name=found["name"].removesuffix(".call"), tokens=span.tokens)
            self._next(self._read_argument)
        elif last or len(text) > _LONGEST_HEAD or not re.fullmatch(r"\s*[\w.\-]*", text):
            self.outcome = Outcome.OVER if self._told else Outcome.TEXT

    def _read_argument(self, held: Held, last: bool) -> Iterator[Piece]:
        skip_space(held)
        if held.text[:1] == ")":
            held.take(1)
            yield Piece(arguments="}" if self._count else "{}")
            self._next(self._read_behind)
        elif self._count and held.text[:1] == ",":
            held.take(1)
            self._next(self._read_argument)
        elif key := _KEY.match(held.text):
            end = _end_of_value(held.text, key.end(), last)
            if end:
                value = _as_json(held.text[key.end() : end])
                before = ", " if self._count else "{"
                self._count += 1
                span = held.take(end)
                yield Piece(arguments=f"{before}{json.dumps(key[1])}: {value}", tokens=span.tokens)
                self._next(self._read_argument)
            elif last:
                self._broken()
        elif last or not re.fullmatch(r"\w*\s*=?\s*", held.text):
            self._broken()

    def _broken(self) -> None:
        self.faulty = True
        self._next(self._read_behind)

    def _read_behind(self, held: Held, last: bool) -> Iterator[Piece]:
        yield from ()
        skip_space(held)
        text, end = held.text, self._row.end
        if not text and not last:
            return
        if text[:1] == "," and not self.faulty:
            held.take(1)
            self._next(self._read_head)
        elif text[:1] == "]":
            held.take(1)
            if end:
                self._next(self._read_behind)
            else:
                self.outcome = Outcome.OVER
        elif not last and end.startswith(text) and text != end:
            return
        else:
            held.take(len(end) if text.startswith(end) or (last and end.startswith(text)) else 0)
            self.outcome = Outcome.OVER


def _end_of_value(text: str, start: int, last: bool) -> int:
    """Return where a value ends; 0: that is not known yet."""
    if text[start] in "'\"":
        return _end_of_string(text, start, last)
    depth, inside = 0, ""
    for found in _MARK.finditer(text, start):
        mark = found[0]
        if inside:
            inside = "" if mark == inside else inside
        elif mark in "'\"":
            inside = mark
        elif depth == 0 and mark in ",)":
            return found.start()
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
    return 0


_MARK = re.compile(r"(?:\\.)|['\"(\[{)\]},]", re.DOTALL)


def _end_of_string(text: str, start: int, last: bool) -> int:
    """Templates write strings without escapes: a quote ends one if what follows can."""
    for found in re.compile(rf"\\.|{text[start]}", re.DOTALL).finditer(text, start + 1):
        rest = text[found.end() :]
        if found[0] != text[start]:
            continue
        if not last and _MAY_BE_BEHIND.match(rest):
            return 0
        if _BEHIND.match(rest) or (last and not rest.strip()):
            return found.end()
    return 0


def _as_json(text: str) -> str:
    text = text.strip()
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        said = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1])
        return json.dumps(said, ensure_ascii=False)
    return literal_as_json(text)
