"""Finds the end of a JSON object while it comes, and says what a text that is JSON says."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast


class ObjectScan:
    """The way through one JSON object; ``end`` is the tag that follows it, if any does.

    What is wrong inside is for others to find, except that a line break in a string, which
    JSON would have escaped, is escaped.
    """

    def __init__(self, end: str, *, depth: int = 0) -> None:
        self.length = 0  # of the text that has been read
        self.closed = False
        self.broken = False  # it does not begin like one, or the tag comes first
        self._end = end
        self._marks = _marks(end[:1])
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
            elif mark in _STRUCTURE:
                self._take(mark)
            elif self._may_end(text, at - 1):
                at -= 1
                break
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


_decode = json.JSONDecoder(strict=False).decode  # json.loads would make one for each text
_STRUCTURE = frozenset('"{}[]')
_IN_STRING = re.compile(r'["\\\x00-\x1f]')


@cache
def _marks(end: str) -> re.Pattern[str]:
    return re.compile(r'["{}\[\]' + re.escape(end) + "]")


@dataclass(frozen=True, slots=True)
class WholeCall:
    name: str
    arguments: str


def call_in(text: str, *, keyed: bool = False) -> WholeCall | None:
    """Return the call that a JSON text is; None: it is none.

    With ``keyed`` it is an object whose one key is the name.
    """
    try:
        found: Any = _decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    given = cast("Mapping[str, Any]", found)
    if keyed:
        items = list(given.items())
        return _whole(*items[0]) if len(items) == 1 and items[0][0] else None
    inner = given.get("function")
    if isinstance(inner, dict):  # as OpenAI's wire has it
        given = cast("Mapping[str, Any]", inner)
    name = next((given[key] for key in ("name", "tool_name", "function") if key in given), None)
    if not isinstance(name, str) or not name:
        return None
    return _whole(name, given.get("arguments", given.get("parameters", {})))


def _whole(name: str, arguments: object) -> WholeCall | None:
    if isinstance(arguments, str):  # some write them as a text that is JSON
        return WholeCall(name, arguments) if is_object(arguments) else None
    return WholeCall(name, json.dumps(arguments or {}, ensure_ascii=False))


def string_in(text: str) -> str:
    """Return what a JSON string says; "": it is none."""
    try:
        return _decode(text)
    except ValueError:
        return ""


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
