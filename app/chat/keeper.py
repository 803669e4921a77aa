"""What of one chat is on the disk already, and what is to be written with the next turn."""

from collections.abc import Sequence
from concurrent.futures import Future

from models.records.records import Records
from models.records.values import Turn, title_of
from models.thinking import Choice


class Keeper:
    """A turn that the disk would not take is written again before the next one: without it
    the records could not tell what that one follows."""

    def __init__(self, records: Records, chat: str) -> None:
        self._records = records
        self._chat = chat
        self._kept = 0  # so many turns, from the first, are known to be safe
        self._thinking: Choice | None = None  # as it was chosen here

    def read(self) -> Future[list[Turn]]:
        return self._records.turns(self._chat)

    def read_thinking(self) -> Future[Choice | None]:
        return self._records.thinking(self._chat)

    def choose_thinking(self, chosen: Choice) -> None:
        """Written at once, or with the first turn of a chat that is not on the disk yet."""
        self._thinking = chosen
        self._records.choose_thinking(self._chat, chosen)

    def save(self, turns: Sequence[Turn]) -> Future[Turn]:
        """Write the last turn; the Future tells when it is safe, and how it is kept."""
        if not self._kept:
            self._records.add(self._chat, title_of(turns[0]))
            if self._thinking is not None:
                self._records.choose_thinking(self._chat, self._thinking)
        last = len(turns) - 1
        for position in range(min(self._kept, last), last):
            self._put(turns, position)
        return self._put(turns, last)

    def know(self, count: int) -> None:
        """Take note that the first ``count`` turns are safe as they are."""
        self._kept = count

    def forget_after(self, count: int) -> None:
        """What follows the first ``count`` turns will be another branch."""
        self._kept = min(self._kept, count)

    def _put(self, turns: Sequence[Turn], position: int) -> Future[Turn]:
        parent = turns[position - 1].id if position else None
        return self._records.put(self._chat, parent, turns[position])
