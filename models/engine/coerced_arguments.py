"""Arguments of a call as they come, with what a model put into quotes and meant otherwise.

``{"days": "3"}`` becomes ``{"days": 3}`` where the tool's schema has an integer there and no
string. What has been told cannot be taken back, so a string waits for its end where none is
allowed; all else goes through at once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.chat import Tool
from models.engine.json_scan import string_in
from models.engine.typed_values import coerced, items_of, property_of, types_of

_MARK = re.compile(r'[{}\[\],:"]')
_IN_STRING = re.compile(r'["\\]')
_UNKNOWN: tuple[object, ...] = ()


@dataclass(slots=True)
class _Inside:
    """An object or a list that is open."""

    schemas: tuple[object, ...]  # one of which it has; none: nothing is known of it
    is_list: bool
    key: str | None = None  # of the value that comes next; None: a key comes, or an end
    types: frozenset[str] | None = None  # of the strings in a list; None: there was none yet


class CoercedArguments:
    """Those of one call of one of some tools."""

    def __init__(self, tools: Mapping[str, Tool], name: str) -> None:
        tool = tools.get(name)
        self._root: Any = tool.parameters if tool else None
        self._idle = not self._root  # what comes now goes through as it stands
        self._open: list[_Inside] = []
        # The one that is being read, from its quote on; of a value that is told, the quote alone.
        self._string: list[str] | None = None
        self._waits = False  # it is kept back
        self._is_key = False
        self._escaped = False  # its next character
        self._types: frozenset[str] = frozenset()  # of the value that it stands for

    def feed(self, text: str) -> str:
        """Return what can be told now."""
        if self._idle or not text:
            return text
        told: list[str] = []
        at = 0
        while at < len(text) and not self._idle:
            at = self._read_string(text, at, told) if self._string else self._read(text, at, told)
        told.append(text[at:])
        return "".join(told)

    def rest(self) -> str:
        """Return what was kept back: no more comes."""
        kept = self._string if self._waits else None
        self._string, self._waits, self._idle = None, False, True
        return "".join(kept or ())

    # -- Inside ----------------------------------------------------------------

    def _read(self, text: str, at: int, told: list[str]) -> int:
        """Go up to the next mark, and take it. Return where that ends."""
        found = _MARK.search(text, at)
        end = found.end() if found else len(text)
        if found and found[0] == '"':
            self._begin_string()
            told.append(text[at : end - self._waits])
            return end
        told.append(text[at:end])
        if found:
            self._take(found[0])
        return end

    def _take(self, mark: str) -> None:
        inside = self._open[-1] if self._open else None
        if mark in "{[":
            schemas = self._value_schemas() if inside else (self._root,)
            self._open.append(_Inside(schemas, mark == "["))
        elif inside is None:
            self._idle = True  # no JSON: it is told as it was written
        elif mark in "}]":
            self._open.pop()
            self._idle = not self._open
        elif mark == ",":
            inside.key = None

    def _begin_string(self) -> None:
        inside = self._open[-1] if self._open else None
        self._idle = inside is None
        self._string = ['"']
        self._is_key = inside is not None and not inside.is_list and inside.key is None
        if inside and not self._is_key:
            self._types = self._types_in(inside)
            self._waits = bool(self._types) and "string" not in self._types

    def _read_string(self, text: str, at: int, told: list[str]) -> int:
        assert self._string
        start = at
        end = 0
        while at < len(text):
            if self._escaped:
                self._escaped, at = False, at + 1
                continue
            found = _IN_STRING.search(text, at)
            at = found.end() if found else len(text)
            if found and found[0] == '"':
                end = at
                break
            self._escaped = found is not None
        if self._waits or self._is_key:
            self._string.append(text[start:at])
        if not self._waits:
            told.append(text[start:at])
        if end:
            self._end_string("".join(self._string), told)
        return at

    def _end_string(self, written: str, told: list[str]) -> None:
        if self._waits:
            value = coerced(string_in(written), self._types)
            told.append(written if value is None else value)
        elif self._is_key:
            self._open[-1].key = string_in(written)
        self._string, self._waits = None, False

    def _types_in(self, inside: _Inside) -> frozenset[str]:
        """What the string may stand for: in a list, where there may be many, each the same."""
        if inside.types is not None:
            return inside.types
        found = types_of({"anyOf": [*self._value_schemas()]}, self._root)
        if inside.is_list:
            inside.types = found
        return found

    def _value_schemas(self) -> tuple[object, ...]:
        inside = self._open[-1]
        if inside.is_list:
            return tuple(items_of(inside.schemas, self._root))
        return tuple(property_of(inside.schemas, inside.key or "", self._root))


def by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    return {each.name: each for each in tools}
