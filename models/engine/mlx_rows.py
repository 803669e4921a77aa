"""Rows of tokens that wait to be embedded, and which of them go through a model together. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    ticket: int
    place: int  # among the rows of its request
    tokens: tuple[int, ...]


class Rows:
    """Those of every request that is not over.

    Requests take turns, each with its longest row; what is nearly as long goes with it, of
    whatever request, for padding is work too.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, list[Row]] = {}  # by ticket, the shortest first

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, ticket: int, rows: Sequence[tuple[int, ...]]) -> None:
        made = [Row(ticket, place, tokens) for place, tokens in enumerate(rows)]
        self._waiting[ticket] = sorted(made, key=_length)

    def remove(self, ticket: int) -> None:
        """Harmless where it is unknown or over."""
        self._waiting.pop(ticket, None)

    def next(self, most_tokens: int) -> list[Row]:
        """Take rows that have no more tokens, padding included; or one that alone has more."""
        first = next(iter(self._waiting))
        longest = len(self._waiting[first][-1].tokens)
        most = max(1, most_tokens // longest)
        taken: list[Row] = []
        for ticket in list(self._waiting):  # the first is whose turn it is
            rows = self._waiting.pop(ticket)
            end = bisect_right(rows, longest, key=_length)
            nearly = bisect_left(rows, longest / 2, key=_length)
            start = max(nearly, end - most + len(taken))
            taken += rows[start:end]
            if left := rows[:start] + rows[end:]:
                self._waiting[ticket] = left
        if first in self._waiting:
            self._waiting[first] = self._waiting.pop(first)  # to the end
        return taken


def _length(row: Row) -> int:
    return len(row.tokens)
