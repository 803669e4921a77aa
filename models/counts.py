"""What can be counted of a model: the numbers of its settings, its tensors by type."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from models.errors import LoadFailed

_MOST_LAYERS = 4096  # llama.cpp takes 512 (LLAMA_MAX_LAYERS)
_THOUSAND, _MILLION, _BILLION = 10**3, 10**6, 10**9
_LARGEST = 1 << 40  # of any count in a model: what is larger is damage


class Counts:
    """The counts among a model's settings, none of them negative or absurd.

    Reads ``settings``, which stand in ``source``; ``prefix`` is in front of each key.

    A key may have several spellings: the first that is there is read. Everything here
    raises LoadFailed where a count makes no sense.
    """

    def __init__(self, source: str, settings: Mapping[str, object], prefix: str = "") -> None:
        self._source = source
        self._settings = settings
        self._prefix = prefix

    def required(self, key: str) -> int:
        """Raises LoadFailed where the key is missing, or 0."""
        value = self.optional(key)
        if not value:
            raise LoadFailed(f"{self._source} does not tell the model's {self._prefix}{key}.")
        return value

    def optional(self, *keys: str) -> int:
        """Return 0 where the keys are missing, and the largest where each layer has its own."""
        return max(self.each(*keys), default=0)

    def layers(self, *keys: str) -> int:
        """As ``optional``, of a number so small that one can go through it."""
        count = self.optional(*keys)
        if count > _MOST_LAYERS:
            raise LoadFailed(f"{self._source} is damaged: {count} layers make no sense.")
        return count

    def each(self, *keys: str) -> Sequence[int]:
        """Return what each layer has, or one number for all; nothing where it is missing."""
        for key in keys:
            value = self._settings.get(self._prefix + key)
            values = cast(
                "Sequence[object]", value if isinstance(value, tuple | list) else (value,)
            )
            found = [self._plausible(key, each) for each in values if each is not None]
            if found:
                return found
        return ()

    def _plausible(self, key: str, value: object) -> int:
        if isinstance(value, int | float) and 0 <= value <= _LARGEST and value == int(value):
            return int(value)
        raise LoadFailed(f"{self._source} is damaged: {self._prefix}{key} makes no sense.")


def commonest_type(tensors: Iterable[tuple[str, int]]) -> str:
    """``tensors`` are the type and the number of elements of each; there is at least one."""
    sizes: Counter[str] = Counter()
    for type_name, element_count in tensors:
        sizes[type_name] += element_count
    return sizes.most_common(1)[0][0]


def human_count(number: int) -> str:
    """Shorten a count of parameters as Ollama does (format/format.go): 970K, 22.57M, 3.2B."""
    if number >= _BILLION:
        billions = number / _BILLION
        return f"{billions:.0f}B" if billions.is_integer() else f"{billions:.1f}B"
    if number >= _MILLION:
        millions = number / _MILLION
        return f"{millions:.0f}M" if millions.is_integer() else f"{millions:.2f}M"
    return f"{number / _THOUSAND:.0f}K" if number >= _THOUSAND else str(number)
