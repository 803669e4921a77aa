"""KV caches of earlier prompts, found again by their longest common prefix with a new one.

Entries share what they can: one whose layers can be cut swallows those that are its
beginnings; of one that cannot, its beginnings have their own state, and borrow the rest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.prompt_entry import spared
from models.prompt_files import LONG_TOKENS

Layer: TypeAlias = Any
Kind: TypeAlias = Literal["system", "history", "turn"]
Tokens: TypeAlias = NDArray[np.uint32]

# The system prompts used last stay until nothing else is left to go.
_SYSTEMS = 4


class Handling(Protocol):
    """What is done with layers here: see ``mlx_layers.Layers``."""

    def settle(self, layers: list[Layer]) -> None: ...
    def cuttable(self, layers: list[Layer]) -> bool: ...
    def view(self, layers: list[Layer], length: int) -> list[Layer]: ...
    def borrow(self, layers: list[Layer], longer: list[Layer], length: int) -> list[Layer]: ...
    def compact(self, layers: list[Layer]) -> list[Layer]: ...
    def arrays(self, layers: list[Layer]) -> dict[int, int]: ...


@dataclass(frozen=True, slots=True)
class Hit:
    layers: list[Layer]  # to be read, never written to
    length: int  # tokens that they hold
    exact: int  # of those, the first that are as a cold run would have them


class Fetch(Protocol):
    """An entry on its way from the tier. Only the lane's thread calls it."""

    @property
    def ready(self) -> bool:
        """Whether ``go_on`` would do something now."""
        ...

    def go_on(self) -> bool:
        """Do some more; return whether it is over."""
        ...

    @property
    def found(self) -> Hit | None:
        """What came of it. None: it was damaged, or there was no memory for it."""
        ...

    def cancel(self) -> None: ...


class Tier(Protocol):
    """Where entries go that memory has no room for. Only the lane's thread calls it.

    ``grid`` and ``exact`` are as in ``PrefixCache``.
    """

    def longest(self, tokens: Sequence[int], grid: int | None) -> int:
        """Quick: how many of the first tokens it has."""
        ...

    def fetch(self, tokens: Sequence[int], grid: int | None) -> Fetch | None:
        """Begin to bring them, and return at once."""
        ...

    def keep(self, tokens: Sequence[int], layers: list[Layer], kind: Kind, exact: int) -> None:
        """Take an entry, and return at once."""
        ...


@dataclass(slots=True, eq=False)
class _Entry:
    tokens: Tokens
    layers: list[Layer]
    kind: Kind
    exact: int
    cuttable: bool
    used: int = 0
    arrays: dict[int, int] = field(default_factory=dict[int, int])

    def __len__(self) -> int:
        return len(self.tokens)


class PrefixCache:
    """Only its lane's thread calls it.

    ``least_gain``: tokens that the tier must have more than memory for it to be asked.
    """

    def __init__(
        self, most_bytes: int, tier: Tier | None = None, *, handling: Handling, least_gain: int = 0
    ) -> None:
        self.hits = 0
        self.misses = 0
        self.used_bytes = 0  # arrays that entries share count once
        self._most_bytes = most_bytes
        self._tier = tier
        self._handling = handling
        self._least_gain = least_gain
        self._entries: list[_Entry] = []
        self._held: Counter[int] = Counter()  # how many entries hold each array
        self._clock = 0

    def __len__(self) -> int:
        return len(self._entries)

    # -- Finding ---------------------------------------------------------------

    def longest(self, tokens: Sequence[int]) -> int:
        """How many of the first tokens would be found in memory."""
        return self._best(_array(tokens), None)[1]

    def fetch(self, tokens: Sequence[int], grid: int | None = None) -> Hit | None:
        """Return the state after as many of the tokens as are here, all but the last at most.

        Args:
            grid: only a multiple of so many, and only as a cold run would have it.
        """
        entry, length = self._best(_array(tokens), grid)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._touch(entry)
        layers = self._handling.view(entry.layers, length)
        return Hit(layers, length, min(entry.exact, length))

    def _best(self, wanted: Tokens, grid: int | None) -> tuple[_Entry | None, int]:
        best, length = None, 0
        for entry in self._entries:
            common = min(_common(entry.tokens, wanted), len(wanted) - 1)
            usable = spared(common, len(entry), entry.exact, grid, cuttable=entry.cuttable)
            if usable > length:
                best, length = entry, usable
        return best, length

    # -- Finding on the tier -----------------------------------------------------

    def tier_has_more(self, tokens: Sequence[int], grid: int | None = None) -> bool:
        """Whether it is worth while to ask the tier. ``grid``: as in ``fetch``."""
        if self._tier is None:
            return False
        here = self._best(_array(tokens), grid)[1]
        return self._tier.longest(tokens, grid) > here + self._least_gain

    def fetch_from_tier(self, tokens: Sequence[int], grid: int | None = None) -> Fetch | None:
        return self._tier.fetch(tokens, grid) if self._tier else None

    def take(self, tokens: Sequence[int], found: Hit) -> Hit:
        """Keep what the tier had of a prompt, and return it."""
        self.hits += 1
        self.add(tokens[: found.length], found.layers, kind="history", exact=found.exact)
        return replace(found, layers=self._handling.view(found.layers, found.length))

    # -- Keeping ---------------------------------------------------------------

    def add(
        self, tokens: Sequence[int], layers: list[Layer], *, kind: Kind, exact: int = 0
    ) -> None:
        """Keep the state after these tokens. ``layers`` are never written to from now on.

        Args:
            exact: how many of the first tokens were computed as a cold run would.
        """
        if self._most_bytes <= 0 or not tokens:
            return
        self._handling.settle(layers)
        if sum(self._handling.arrays(layers).values()) > self._most_bytes:
            if self._tier:
                self._tier.keep(tokens, layers, kind, exact)
            return
        new = _Entry(_array(tokens), layers, kind, exact, self._handling.cuttable(layers))
        for old in list(self._entries):
            common = _common(old.tokens, new.tokens)
            if common == len(new) and old.exact >= new.exact:
                if old.cuttable or len(old) == len(new):  # nothing new
                    self._touch(old)
                    return
                new.layers = self._handling.borrow(new.layers, old.layers, len(new))
            elif common == len(old) and new.exact >= old.exact:
                if new.cuttable or len(old) == len(new):
                    self._forget(old)
                else:
                    self._change(old, self._handling.borrow(old.layers, new.layers, len(old)))
        self._touch(new)
        self._entries.append(new)
        self._hold(new)
        # A crash would lose it. Of what cannot be cut, only what later prompts begin with.
        if self._tier and len(new) >= LONG_TOKENS and (new.cuttable or kind != "turn"):
            self._tier.keep(new.tokens.tolist(), new.layers, kind, exact)
        self.shrink(self._most_bytes)

    def shrink(self, most_bytes: int) -> None:
        """Let entries go, the least useful first, until no more is used than this."""
        while self.used_bytes > most_bytes and self._entries:
            entry = self._next_to_go()
            self._forget(entry)
            self._release_borrowers(entry)
            if self._tier:
                self._hand_on(self._tier, entry)

    def clear(self) -> None:
        """Drop everything, at once: memory is needed, or nothing is to be trusted."""
        self._entries.clear()
        self._held.clear()
        self.used_bytes = 0

    def close(self) -> None:
        """Hand everything on, and hold nothing any more."""
        if self._tier:
            # The newest first: it does not wait for long.
            for entry in sorted(self._entries, key=lambda each: -each.used):
                self._hand_on(self._tier, entry)
        self.clear()

    def _next_to_go(self) -> _Entry:
        systems = [each for each in self._entries if each.kind == "system"]
        stay = sorted(systems, key=lambda each: each.used)[-_SYSTEMS:]
        return min(self._entries, key=lambda each: (each in stay, each.used))

    def _release_borrowers(self, gone: _Entry) -> None:
        """Those that borrowed from it would keep the whole of it in memory."""
        borrowers = [each for each in self._entries if each.arrays.keys() & gone.arrays.keys()]
        borrowers.sort(key=len)
        if not borrowers or len(borrowers[-1]) >= len(gone):
            return
        longest = borrowers.pop()
        self._change(longest, self._handling.compact(longest.layers))
        for each in borrowers:
            self._change(each, self._handling.borrow(each.layers, longest.layers, len(each)))

    # -- Counting --------------------------------------------------------------

    def _touch(self, entry: _Entry) -> None:
        self._clock += 1
        entry.used = self._clock

    def _hold(self, entry: _Entry) -> None:
        entry.arrays = self._handling.arrays(entry.layers)
        for array, size in entry.arrays.items():
            self.used_bytes += size if not self._held[array] else 0
            self._held[array] += 1

    def _let_go(self, entry: _Entry) -> None:
        for array, size in entry.arrays.items():
            self._held[array] -= 1
            if not self._held[array]:
                del self._held[array]
                self.used_bytes -= size

    def _change(self, entry: _Entry, layers: list[Layer]) -> None:
        self._let_go(entry)
        entry.layers = layers
        self._hold(entry)

    def _forget(self, entry: _Entry) -> None:
        self._let_go(entry)
        self._entries.remove(entry)

    def _hand_on(self, tier: Tier, entry: _Entry) -> None:
        tier.keep(entry.tokens.tolist(), entry.layers, entry.kind, entry.exact)


def _array(tokens: Sequence[int]) -> Tokens:
    return np.asarray(tokens, np.uint32)


def _common(one: Tokens, other: Tokens) -> int:
    shorter = min(len(one), len(other))
    different = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(different[0]) if len(different) else shorter
