"""Tokens to text to events, once for every backend: UTF-8 and stop strings."""

import codecs

from models.events import FinishReason, TextDelta


class Decoder:
    """Turns the pieces of one sequence into ``TextDelta`` events.

    Text that may be the beginning of a stop string, or half of a character, is kept
    back until the next piece decides. Half a character at the very end is dropped.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(each for each in stop if each)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def feed(
        self, piece: bytes, finish: FinishReason | None
    ) -> tuple[list[TextDelta], FinishReason | None]:
        """Return what can be said now, and why the sequence ended if it did."""
        self._held += self._utf8.decode(piece)
        end = self._stop_found()
        if end is not None:
            self._held = self._held[:end]
            finish = FinishReason.STOP_STRING
        keep = 0 if finish else self._undecided()
        said = self._held[: len(self._held) - keep]
        self._held = self._held[len(said) :]
        return ([TextDelta(said)] if said else []), finish

    def _stop_found(self) -> int | None:
        found = [self._held.find(stop) for stop in self._stop if stop in self._held]
        return min(found) if found else None

    def _undecided(self) -> int:
        """Length of the longest tail that a stop string could begin with."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
