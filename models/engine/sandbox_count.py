"""Counts what a template does: its steps, and the characters it is about to make."""

# What a template holds is of any type.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Iterable, Mapping
from typing import Any

# The most that a template may do: so much, and so much more for what it is given. Published
# ones need some 20 steps a message, and make each character of it some 5 times.
_MOST_STEPS = 100_000
_STEPS_PER_ENTRY = 100
_MOST_CHARACTERS = 16 << 20
_TIMES_INPUT = 40
_WIDEST = 10_000  # of what a filter or a method fills up to a width
MOST_BITS = 20_000  # of an integer
NODE = 16  # characters that an entry of a list or dict weighs
_WIDTH = re.compile(r"\d{5,}|\*")  # in a format string

# Filters that fill up, with the numbers that say how far.
_FILLING = {"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap"}

# Filters that need only look at the beginning of what they are given, or at its length.
_GLANCING = {"count", "d", "default", "first", "items", "length", "safe"}


class TooMuchWork(Exception):
    """The template is over its count."""


class Budget:
    def __init__(self, input_entries: int, input_characters: int) -> None:
        self._steps = _MOST_STEPS + input_entries * _STEPS_PER_ENTRY
        self._characters = _MOST_CHARACTERS + input_characters * _TIMES_INPUT

    def step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise TooMuchWork

    def spend(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise TooMuchWork

    def weigh(self, value: object) -> int:
        """Return what ``value`` would fill written out, and spend as much.

        A list may hold another twice, and that a third: what is short to build can be
        endless to write.
        """
        before = self._characters
        heap = [value]
        while heap:
            match heap.pop():
                case str() | bytes() as text:
                    self.spend(NODE + len(text))
                case list() | tuple() | set() as several:
                    self.spend(NODE * (1 + len(several)))
                    heap.extend(several)
                case dict() as entries:
                    self.spend(NODE * (1 + len(entries)))
                    heap.extend(entries.keys())
                    heap.extend(entries.values())
                case _:
                    self.spend(NODE)
        return before - self._characters


def length(value: object) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict | range) else 0


def _refuse_wide(options: Iterable[object], most: int = _WIDEST) -> None:
    if any(isinstance(each, int) and abs(each) > most for each in options):
        raise TooMuchWork


def format_weight(budget: Budget, text: str, values: object) -> int:
    options = values if isinstance(values, tuple) else (values,)
    if _WIDTH.search(text):
        raise TooMuchWork
    return len(text) + budget.weigh(options)


def method_weight(
    budget: Budget,
    subject: str | bytes | float,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> int:
    options = [*args, *kwargs.values()]
    if name in ("format", "format_map") and isinstance(subject, str):
        _refuse_wide(options)
        return format_weight(budget, subject, tuple(options))
    if name == "replace":
        return _replaced(subject, options)
    if name == "join":
        return budget.weigh(options) + len(str(subject)) * length(options[0] if options else ())
    if name not in ("split", "rsplit", "find", "rfind", "index", "startswith", "endswith"):
        _refuse_wide(options)
    widest = max((each for each in options if isinstance(each, int)), default=0)
    tabs = _occurrences(subject, "\t") * widest if name == "expandtabs" else 0
    return length(subject) // 8 + tabs


def filter_weight(budget: Budget, name: str, subject: object, options: list[object]) -> int:
    if name in _FILLING:
        _refuse_wide(options, 64 if name == "tojson" else _WIDEST)
    match name:
        case "join" | "string" | "pprint":
            pieces = length(subject)
            return budget.weigh(subject) + budget.weigh(options) * (pieces if name == "join" else 0)
        case "tojson":
            return budget.weigh(subject) * 4
        case "replace":
            return _replaced(str(subject), options)
        case "indent" | "wordwrap":
            longest = max((len(each) for each in options if isinstance(each, str)), default=0)
            widest = max((each for each in options if isinstance(each, int)), default=4)
            lines = _occurrences(subject, "\n") if name == "indent" else length(subject)
            return lines * max(longest, widest if name == "indent" else 1)
        case "batch" | "slice":
            widest = max((each for each in options if isinstance(each, int)), default=0)
            return budget.weigh(options) * widest
        case "format":
            return format_weight(budget, str(subject), tuple(options))
        case _ if name in _GLANCING:
            return 0
        case _:
            return length(subject) * (1 if isinstance(subject, str) else 4 * NODE)


def _replaced(subject: object, options: list[Any]) -> int:
    text = str(subject)
    old, new = (str(each) for each in options[:2]) if len(options) > 1 else ("", "")
    return len(text) + text.count(old) * len(new)


def _occurrences(subject: object, what: str) -> int:
    return str(subject).count(what)
