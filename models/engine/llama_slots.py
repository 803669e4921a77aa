"""Which sequences run in a llama.cpp child, and which wait for a slot or for room in its KV cache.

Pure bookkeeping. Where the slots share one KV cache, a token takes one cell of it, and a
cache that is full fails every sequence in it: so cells are given out here before a sequence
starts, for its prompt and for all that it may write. One that cannot be stopped and go on later
is given some at a time, for if it needs more the others can be stopped.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, replace

# A turn that gives way to texts to embed has written so many tokens, or many texts would leave
# it none.
_LEAST_WRITTEN = 32
# What llama.cpp loads from its cache of prompts is at most so many times as long as what it
# has in common with the new one (server_prompt_cache::load, 0.25).
_LONGEST_FOUND = 4


@dataclass(slots=True, eq=False, kw_only=True)
class Turn:
    """One request to the child: sequences of one prompt, and how far they may go."""

    tickets: tuple[int, ...]
    prompt_tokens: int
    most_tokens: int  # that each of them may write
    goes_on: bool = True  # later, if it is stopped
    # Where it does not: it has room for so many more than it has written.
    ahead_tokens: int | None = None
    written: int = 0  # as far as it counts for that
    heard: int = 0  # tokens that one of its sequences has been heard to write, at most
    heard_at: int | None = None  # what all had, when it was heard last; None: it was not yet
    order: int  # lower came earlier, and keeps that over all its turns
    urgent: bool = False
    # Of characters that several tokens make it may ask more, in one more slot, which then
    # has one of its sequences too.
    asks_beside: bool = False
    looks: bool = False  # at pictures, for as long as each takes: nothing comes of it meanwhile

    # Of an ``EmbedWork``, the rows that it asks for; none where it is to write.
    places: range = range(0)

    @property
    def slots(self) -> int:
        return len(self.tickets) + self.asks_beside

    @property
    def can_stop(self) -> bool:
        return self.goes_on and not self.places

    @property
    def cells(self) -> int:
        """That are its own now."""
        if self.ahead_tokens is None:
            return self.most_cells
        return self._cells_for(min(self.most_tokens, self.written + self.ahead_tokens))

    @property
    def most_cells(self) -> int:
        """That it may come to need."""
        return self._cells_for(self.most_tokens)

    def _cells_for(self, tokens: int) -> int:
        beside = self.prompt_tokens + tokens if self.asks_beside else 0
        return self.prompt_tokens + len(self.tickets) * tokens + beside

    @property
    def rank(self) -> tuple[bool, int]:
        return not self.urgent, self.order


class Slots:
    """Args:
    count: how many sequences may run at once.
    cells: of the KV cache that they share, as many as a context or more; None: each has
        one of its own, which is large enough for whatever it is given.
    goes_back: whether one that is stopped goes on without being read again.
    """

    def __init__(self, count: int, cells: int | None, goes_back: bool = True) -> None:
        self._goes_back = goes_back
        self._count = count
        self._free_slots = count
        self._cells = cells
        self._charged: dict[Turn, int] = {}  # cells, by each turn that runs
        self._stopped: set[Turn] = set()  # of those, whoever has been asked to leave
        self._gave_way = False  # some of them, to those that embed
        self._heard = 0  # tokens, of all turns, as ``Turn.heard``
        self._waiting: list[Turn] = []  # by rank
        # What ended sequences left in their slots, in cells. llama.cpp gives it up as it
        # needs it, but not what is in a slot that has been chosen for a sequence and has not
        # come to read it: that is cut only when it begins.
        self._left: list[int] = []  # since the latest start, at which it clears the idle ones
        self._longest = 0  # of all that it may keep in its cache of prompts

    @property
    def running(self) -> int:
        return sum(len(turn.tickets) for turn in self._charged)

    @property
    def waiting(self) -> int:
        return sum(len(turn.tickets) for turn in self._waiting)

    def wait(self, turn: Turn) -> None:
        """Queue a turn. Alone in the child it will fit, if need be in parts."""
        for start in range(0, len(turn.tickets), self._count):
            part = replace(turn, tickets=turn.tickets[start : start + self._count])
            insort(self._waiting, part, key=lambda each: each.rank)

    def start_next(self) -> Turn | None:
        """Give the first in the queue its slots; None: it has to wait, and all behind it too."""
        if not self._waiting or self._gave_way:
            return None
        turn = self._waiting.pop(0)
        while not self._charged and len(turn.tickets) > 1 and not self._fits(turn):
            turn = self._first_half(turn)
        if not self._charged and not self._fits(turn):
            turn.asks_beside = False
        if self._charged and not self._fits(turn):
            self._waiting.insert(0, turn)
            return None
        self._charged[turn] = self._needed(turn)
        self._free_slots -= turn.slots
        self._left.clear()
        return turn

    def has_read(self, turn: Turn) -> None:
        """Its prompts are read: what was left in its slots is gone."""
        if turn in self._charged:
            self._charged[turn] = turn.cells

    def wrote(self, turn: Turn, tokens: int) -> Iterator[Turn]:
        """One of a turn's sequences has written so many: give them all more room in time.

        One of which nothing is heard may write too: llama.cpp does not tell of halves of
        characters. But it writes a token while another writes one.

        Yields the turns that have to be stopped for that.
        """
        self._heard += max(tokens - turn.heard, 0)
        turn.heard = max(tokens, turn.heard)
        turn.heard_at = self._heard
        for each in list(self._charged):
            if each.heard_at is not None:
                yield from self._grow(each, each.heard + self._heard - each.heard_at)

    def _grow(self, turn: Turn, tokens: int) -> Iterator[Turn]:
        if turn.ahead_tokens is None or tokens < turn.written + turn.ahead_tokens // 2:
            return
        before = turn.cells
        turn.written = tokens
        if self._cells is None:
            return
        self._charged[turn] += turn.cells - before
        staying = [each for each in self._charged if each not in self._stopped]
        short = sum(self._charged[each] for each in staying) - self._cells
        for each in sorted(staying, key=lambda each: each.rank, reverse=True):
            if short > 0 and each.can_stop:
                short -= self._charged[each]
                self._stopped.add(each)
                yield each

    def gives_way(self, turn: Turn, tokens: int) -> bool:
        """One of a turn's sequences has written so many: return whether it has to be stopped.

        llama.cpp embeds no text while it writes another. So those that write are stopped for
        it, where all can be, and nobody starts until it is done.
        """
        running = self._charged.keys() - self._stopped
        if not self._goes_back or tokens < _LEAST_WRITTEN or turn not in running:
            return False
        embeds = any(each.places for each in running)
        if not embeds or not all(each.can_stop for each in running if not each.places):
            return False
        self._stopped.add(turn)
        self._gave_way = True
        return True

    def end(self, turn: Turn) -> None:
        """It has left the child."""
        del self._charged[turn]
        self._gave_way &= any(each.places for each in self._charged)
        self._stopped.discard(turn)
        self._free_slots += turn.slots
        self.keep(turn.cells)

    def keep(self, cells: int) -> None:
        """Something is left in a slot that nobody runs in."""
        self._left.append(cells)
        self._longest = max(self._longest, cells)

    def forget(self, ticket: int) -> bool:
        """Take a sequence out of the queue; return whether it was there."""
        for turn in self._waiting:
            if ticket in turn.tickets:
                turn.tickets = tuple(each for each in turn.tickets if each != ticket)
                if not turn.tickets:
                    self._waiting.remove(turn)
                return True
        return False

    def _first_half(self, turn: Turn) -> Turn:
        half = len(turn.tickets) // 2
        self._waiting.insert(0, replace(turn, tickets=turn.tickets[half:]))
        return replace(turn, tickets=turn.tickets[:half])

    def _fits(self, turn: Turn) -> bool:
        if turn.slots > self._free_slots:
            return False
        if self._cells is None:
            return True
        charged = self._charged | {turn: self._needed(turn)}
        lasting = (
            max(cells, each.most_cells) for each, cells in charged.items() if not each.can_stop
        )
        return max(sum(charged.values()), sum(lasting)) <= self._cells

    def _needed(self, turn: Turn) -> int:
        """Cells, with those that are left in the slots that it may get."""
        if len(turn.tickets) > 1:  # their slots are taken at once, and read one after the other
            return turn.cells + sum(self._left)
        found = min(self._longest, _LONGEST_FOUND * turn.prompt_tokens)
        return max(turn.cells, found, *self._left)
