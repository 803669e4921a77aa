"""What the numbers of ``SamplingParams`` may be: for the wires and for a model's profile alike."""

from collections.abc import Mapping
from typing import NamedTuple

from models.chat import SamplingParams

_ANY = 2**63 - 1
_LARGEST_PENALTY = 100
_MOST_LOOKED_BACK_ON = 1 << 20  # tokens: llama.cpp sets aside memory for each of them
MOST_BREAKERS = 8  # each is a search in what was said, at every token
LONGEST_BREAKER_BYTES = 40  # llama.cpp cuts longer ones (src/llama-sampler.cpp)


class Range(NamedTuple):
    """From ``least`` to ``most``, both included."""

    least: float
    most: float
    whole: bool = False


RANGES: Mapping[str, Range] = {
    "temperature": Range(0, _ANY),
    "top_p": Range(0, 1),
    "top_k": Range(-_ANY, _ANY, whole=True),  # below 0: all, as 0
    "min_p": Range(0, 1),
    "typical_p": Range(0, 1),
    "seed": Range(-_ANY, _ANY, whole=True),  # below 0: a new one each time
    "repeat_penalty": Range(0.01, _ANY),  # logits are divided by it
    "repeat_last_n": Range(-1, _MOST_LOOKED_BACK_ON, whole=True),  # -1: the whole context
    "presence_penalty": Range(-_LARGEST_PENALTY, _LARGEST_PENALTY),
    "frequency_penalty": Range(-_LARGEST_PENALTY, _LARGEST_PENALTY),
    "xtc_probability": Range(0, 1),
    "xtc_threshold": Range(0, 1),
    "dry_multiplier": Range(0, _LARGEST_PENALTY),
    "dry_base": Range(1, _LARGEST_PENALTY),
    "dry_allowed_length": Range(0, _MOST_LOOKED_BACK_ON, whole=True),
    "dry_penalty_last_n": Range(-1, _MOST_LOOKED_BACK_ON, whole=True),  # -1: the whole context
}


def within(name: str, value: object) -> bool:
    """Whether there is such a number, and it may be this."""
    known = RANGES.get(name)
    if known is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return known.least <= value <= known.most and (not known.whole or value == int(value))


def from_numbers(numbers: Mapping[str, float | None]) -> SamplingParams:
    """Return what numbers within ``RANGES`` mean, each by its field's name.

    The engines are spared everybody's ways to say "all of them" and "any".
    """
    values: dict[str, float | int] = {}
    for name, number in numbers.items():
        if number is not None:
            values[name] = int(number) if RANGES[name].whole else float(number)
    if values.get("seed", 0) < 0:
        del values["seed"]
    if values.get("top_k", 0) < 0:
        values["top_k"] = 0
    if values.get("repeat_last_n", 0) < 0:
        values["repeat_last_n"] = _MOST_LOOKED_BACK_ON
    return SamplingParams(**values)  # pyright: ignore[reportArgumentType]
