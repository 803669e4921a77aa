"""Entries are found by their longest common prefix, share what they can, and go in order."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import pytest

pytest.importorskip("numpy", reason="it comes with MLX")

from models.engine.prefix_cache import Hit, Kind, PrefixCache


class Block:
    """Stands for an array."""

    def __init__(self, tokens: int) -> None:
        self.nbytes = tokens * 10


class Keys:
    """A layer that can be cut: ten bytes a token."""

    def __init__(self, length: int) -> None:
        self.block = Block(length)
        self.length = length


class State:
    """One that cannot: five bytes."""

    def __init__(self, length: int) -> None:
        self.block = Block(0)
        self.block.nbytes = 5
        self.length = length


class Plain:
    """Handles them as ``mlx_layers.Layers`` does with real ones."""

    def settle(self, layers: list[Any]) -> None:
        pass

    def cuttable(self, layers: list[Any]) -> bool:
        return all(isinstance(layer, Keys) for layer in layers)

    def view(self, layers: list[Any], length: int) -> list[Any]:
        return [_cut(layer, length) for layer in layers]

    def borrow(self, layers: list[Any], longer: list[Any], length: int) -> list[Any]:
        pairs = zip(layers, longer, strict=True)
        return [_cut(b, length) if isinstance(a, Keys) else a for a, b in pairs]

    def compact(self, layers: list[Any]) -> list[Any]:
        return [Keys(layer.length) if isinstance(layer, Keys) else layer for layer in layers]

    def arrays(self, layers: list[Any]) -> dict[int, int]:
        return {id(layer.block): layer.block.nbytes for layer in layers}


def _cut(layer: Any, length: int) -> Any:
    seen = copy(layer)
    if isinstance(seen, Keys):
        seen.length = length
    return seen


class Fetched:
    """What a tier has brought already."""

    ready = True

    def __init__(self, found: Hit) -> None:
        self.found = found

    def go_on(self) -> bool:
        return True

    def cancel(self) -> None:
        pass


class Shelf:
    """A tier that keeps everything."""

    def __init__(self) -> None:
        self.kept: list[tuple[list[int], list[Any], Kind, int]] = []
        self.fetched = 0

    def longest(self, tokens: Sequence[int], grid: int | None) -> int:
        lengths = [len(each[0]) for each in self.kept if each[0] == list(tokens[: len(each[0])])]
        return max(lengths, default=0)

    def fetch(self, tokens: Sequence[int], grid: int | None) -> Fetched:
        self.fetched += 1
        length = self.longest(tokens, grid)
        return next(
            Fetched(Hit(layers, length, exact))
            for kept, layers, _, exact in self.kept
            if kept == list(tokens[:length])
        )

    def keep(self, tokens: Sequence[int], layers: list[Any], kind: Kind, exact: int) -> None:
        self.kept.append((list(tokens), layers, kind, exact))


def a_cache(most_bytes: int = 100_000, tier: Shelf | None = None, least_gain: int = 0):
    return PrefixCache(most_bytes, tier, handling=Plain(), least_gain=least_gain)


def numbers(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def hybrid(length: int) -> list[Any]:
    return [Keys(length), State(length)]


def found(kept: PrefixCache, tokens: list[int], grid: int | None = None) -> int:
    hit = kept.fetch(tokens, grid)
    if hit is None:
        return 0
    assert {layer.length for layer in hit.layers} == {hit.length}
    return hit.length


# -- Finding ----------------------------------------------------------------------------


def test_the_longest_common_prefix_is_found_in_whatever_entry_has_it():
    kept = a_cache()
    kept.add(numbers(100), [Keys(100)], kind="turn")
    kept.add([*numbers(50), *numbers(50, 900)], [Keys(100)], kind="turn")

    assert found(kept, [*numbers(80), 7, 7]) == 80
    assert found(kept, [*numbers(50), *numbers(20, 900), 7]) == 70
    assert found(kept, [7, 7]) == 0
    assert (kept.hits, kept.misses) == (2, 1)


def test_one_token_is_left_to_be_read():
    kept = a_cache()
    kept.add(numbers(100), [Keys(100)], kind="turn")

    assert found(kept, numbers(100)) == 99
    assert found(kept, [0]) == 0


def test_what_cannot_be_cut_is_found_at_its_whole_length_alone():
    kept = a_cache()
    kept.add(numbers(100), hybrid(100), kind="turn")

    assert found(kept, [*numbers(100), 7]) == 100
    assert found(kept, numbers(100)) == 0
    assert found(kept, [*numbers(99), 7]) == 0


def test_on_a_grid_only_what_is_exact_is_found():
    kept = a_cache()
    kept.add(numbers(100), [Keys(100)], kind="turn", exact=70)

    assert found(kept, numbers(200), grid=32) == 64
    assert found(kept, [*numbers(50), 7], grid=32) == 32
    assert found(kept, [*numbers(20), 7], grid=32) == 0
    hit = kept.fetch(numbers(90))
    assert hit
    assert (hit.length, hit.exact) == (89, 70)


# -- Sharing ----------------------------------------------------------------------------


def test_an_entry_swallows_those_that_are_its_beginnings():
    kept = a_cache()
    kept.add(numbers(50), [Keys(50)], kind="turn")
    kept.add(numbers(100), [Keys(100)], kind="turn")
    kept.add(numbers(70), [Keys(70)], kind="turn")

    assert len(kept) == 1
    assert kept.used_bytes == 1000


def test_what_is_exact_is_not_swallowed_by_what_is_not():
    kept = a_cache()
    kept.add(numbers(64), [Keys(64)], kind="turn", exact=64)
    kept.add(numbers(100), [Keys(100)], kind="turn", exact=0)

    assert found(kept, numbers(100), grid=32) == 64
    assert found(kept, numbers(200)) == 100


def test_a_beginning_that_cannot_be_cut_borrows_from_the_longer_one():
    for order in ((50, 100), (100, 50)):
        kept = a_cache()
        for length in order:
            kept.add(numbers(length), hybrid(length), kind="turn")

        assert len(kept) == 2
        assert kept.used_bytes == 1000 + 5 + 5
        assert found(kept, [*numbers(50), 7]) == 50


def test_when_the_longer_one_goes_its_borrowers_keep_no_more_than_they_need():
    kept = a_cache(most_bytes=1500)
    kept.add(numbers(100), hybrid(100), kind="turn")
    kept.add(numbers(30), hybrid(30), kind="system")
    kept.add(numbers(60), hybrid(60), kind="history")
    assert kept.used_bytes == 1015

    kept.add(numbers(80, 500), hybrid(80), kind="turn")

    assert kept.used_bytes == 600 + 5 + 5 + 800 + 5
    assert found(kept, [*numbers(60), 7]) == 60
    assert found(kept, [*numbers(30), 7]) == 30


# -- Letting go -------------------------------------------------------------------------


def test_the_least_recently_used_goes_first():
    kept = a_cache(most_bytes=2000)
    kept.add(numbers(100), [Keys(100)], kind="turn")
    kept.add(numbers(100, 200), [Keys(100)], kind="turn")
    found(kept, numbers(100))
    kept.add(numbers(100, 400), [Keys(100)], kind="turn")

    assert found(kept, numbers(100)) == 99
    assert found(kept, numbers(100, 200)) == 0
    assert found(kept, numbers(100, 400)) == 99


def test_a_system_prompt_goes_last_but_four_of_them_do_not_stay_for_ever():
    kept = a_cache(most_bytes=2000)
    kept.add(numbers(10), hybrid(10), kind="system")
    for first in range(1000, 2000, 100):
        kept.add(numbers(90, first), hybrid(90), kind="turn")
    assert found(kept, [*numbers(10), 7]) == 10

    for first in range(2000, 2400, 100):
        kept.add(numbers(40, first), hybrid(40), kind="system")
    for first in range(3000, 4000, 100):
        kept.add(numbers(40, first), hybrid(40), kind="turn")
    assert found(kept, [*numbers(10), 7]) == 0


def test_what_is_larger_than_all_there_is_room_for_drives_nobody_out():
    shelf = Shelf()
    kept = a_cache(most_bytes=900, tier=shelf)
    kept.add(numbers(80), [Keys(80)], kind="turn")
    kept.add(numbers(100, 200), [Keys(100)], kind="turn")

    assert kept.used_bytes == 800
    assert [tokens for tokens, *_ in shelf.kept] == [numbers(100, 200)]


def test_room_can_be_asked_back():
    kept = a_cache()
    for first in (0, 200, 400):
        kept.add(numbers(100, first), [Keys(100)], kind="turn")

    kept.shrink(2500)
    assert (len(kept), kept.used_bytes) == (2, 2000)
    kept.clear()
    assert (len(kept), kept.used_bytes) == (0, 0)


# -- A tier below -----------------------------------------------------------------------


def test_what_goes_is_handed_on_and_so_is_everything_at_the_end():
    shelf = Shelf()
    kept = a_cache(most_bytes=1000, tier=shelf)
    kept.add(numbers(100), [Keys(100)], kind="turn")
    kept.add(numbers(90, 200), [Keys(90)], kind="history")
    assert [tokens for tokens, *_ in shelf.kept] == [numbers(100)]

    kept.close()

    assert [kind for _, _, kind, _ in shelf.kept] == ["turn", "history"]
    assert kept.used_bytes == 0


def test_the_tier_is_asked_where_it_has_more_than_a_chunk_more():
    shelf = Shelf()
    shelf.keep(numbers(100), [Keys(100)], "turn", 0)
    kept = a_cache(tier=shelf, least_gain=32)

    kept.add(numbers(70), [Keys(70)], kind="turn")
    assert not kept.tier_has_more(numbers(200))
    kept.clear()
    kept.add(numbers(60), [Keys(60)], kind="turn")

    assert kept.tier_has_more(numbers(200))


def test_what_the_tier_had_is_in_memory_then_and_as_exact_as_it_was():
    shelf = Shelf()
    shelf.keep(numbers(100), [Keys(100)], "turn", 70)
    kept = a_cache(tier=shelf, least_gain=32)

    fetch = kept.fetch_from_tier(numbers(200))
    assert fetch
    assert fetch.found
    assert kept.take(numbers(200), fetch.found).length == 100

    assert not kept.tier_has_more(numbers(200))
    assert found(kept, numbers(200)) == 100
    assert found(kept, numbers(200), grid=32) == 64
    assert kept.hits == 3


def test_the_tier_is_told_how_much_of_an_entry_is_exact():
    shelf = Shelf()
    kept = a_cache(most_bytes=1000, tier=shelf)
    kept.add(numbers(100), [Keys(100)], kind="turn", exact=64)
    kept.add(numbers(90, 200), [Keys(90)], kind="turn", exact=32)
    kept.add(numbers(101, 400), [Keys(101)], kind="turn", exact=96)  # too large for memory

    kept.close()

    assert [exact for _, _, _, exact in shelf.kept] == [64, 96, 32]
