"""Where a prompt's pictures are among its tokens, and what stands for them in the prefix cache.

All pictures have the same token, as often as they take up room. What was read of a prompt is found
again by numbers made from each picture's digest in place of it.
"""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

_NO_TOKEN = 1 << 31  # beyond every vocabulary, and within 32 bits


@dataclass(frozen=True, slots=True)
class Place:
    """Of one picture: where its tokens are. Text may stand between them."""

    places: tuple[int, ...]  # ascending
    digest: str

    @property
    def begin(self) -> int:
        return self.places[0]

    @property
    def end(self) -> int:
        return self.places[-1] + 1


class Places:
    """Of a prompt's pictures, in their order."""

    def __init__(self, found: Sequence[Place] = ()) -> None:
        self.found = tuple(found)

    def keys(self, tokens: Sequence[int]) -> list[int]:
        """Return what a sequence is known by that begins with these tokens of the prompt."""
        keys = list(tokens)
        for each in self.found:
            numbers = _numbers(each)
            for place, number in zip(each.places, numbers, strict=True):
                if place >= len(keys):
                    return keys
                keys[place] = number
        return keys

    def uncut(self, length: int, grid: int | None) -> int:
        """Return the most tokens up to ``length`` that end inside no picture.

        Args:
            grid: only a multiple of so many.
        """
        for each in reversed(self.found):
            if each.begin < length < each.end:
                length = each.begin
                if grid:
                    length = length // grid * grid
        return length


def places_of(tokens: Sequence[int], token: int, pictures: Sequence[tuple[str, int]]) -> Places:
    """Return where pictures are whose tokens are all ``token``.

    Args:
        pictures: the digest of each, and how many tokens it has.

    Raises:
        ValueError: there are not as many of them as the pictures have together.
    """
    where = [place for place, each in enumerate(tokens) if each == token]
    if len(where) != sum(count for _, count in pictures):
        raise ValueError(f"{len(where)} tokens of pictures")
    found: list[Place] = []
    begin = 0
    for digest, count in pictures:
        found.append(Place(tuple(where[begin : begin + count]), digest))
        begin += count
    return Places(found)


def _numbers(place: Place) -> list[int]:
    digest = hashlib.shake_256(place.digest.encode()).digest(4 * len(place.places))
    return [each | _NO_TOKEN for each in array("I", digest)]
