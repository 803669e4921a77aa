"""What a model is used with, by the names that Ollama has for it: ``PARAMETER num_ctx 4096``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from models.errors import InvalidRequest
from models.model import Profile
from models.sampling_ranges import RANGES, within

_CONTEXT, _LIMIT, _STOP = "num_ctx", "num_predict", "stop"
_LARGEST = 1 << 40  # tokens
_MOST_STOPS = 64


def apply(profile: Profile, parameters: Mapping[str, object]) -> tuple[Profile, tuple[str, ...]]:
    """Return the profile with the parameters in it, and the names of those that are unknown here.

    A number may be written as a text, as a Modelfile has it.

    Raises:
        InvalidRequest: a value will not do.
    """
    unknown: list[str] = []
    sampling = dict(profile.sampling)
    for name, given in parameters.items():
        if name == _STOP:
            profile = replace(profile, stop=_texts(given))
        elif name == _CONTEXT:
            profile = replace(profile, context_length=_limit(name, given))
        elif name == _LIMIT:
            profile = replace(profile, max_tokens=_limit(name, given))
        elif name in RANGES:
            sampling[name] = _within(name, _number(name, given))
        else:
            unknown.append(name)
    return replace(profile, sampling=sampling), tuple(unknown)


def of(profile: Profile) -> Iterator[tuple[str, str | float]]:
    """Return the names and values that ``apply`` would take, a stop string each."""
    for stop in profile.stop:
        yield _STOP, stop
    if profile.context_length is not None:
        yield _CONTEXT, profile.context_length
    if profile.max_tokens is not None:
        yield _LIMIT, profile.max_tokens
    yield from profile.sampling.items()


def _texts(given: object) -> tuple[str, ...]:
    several = cast("Sequence[object]", given) if isinstance(given, list | tuple) else [given]
    texts = tuple(each for each in several if isinstance(each, str) and each)
    if len(texts) < len(several) or len(texts) > _MOST_STOPS:
        raise InvalidRequest(
            f'parameter "{_STOP}" must be a text, or up to {_MOST_STOPS} of them',
            field="parameters",
        )
    return texts


def _limit(name: str, given: object) -> int | None:
    """A count of tokens; 0 and less stand for none."""
    number = int(_number(name, given))
    if number > _LARGEST:
        raise _wrong(name, f"at most {_LARGEST}")
    return number if number > 0 else None


def _within(name: str, number: float) -> float:
    least, most, whole = RANGES[name]
    number = int(number) if whole else number
    if not within(name, number):
        raise _wrong(name, f"from {least:g} to {most:g}")
    return number


def _number(name: str, given: object) -> float:
    value = given
    if isinstance(given, list | tuple) and given:  # said several times: the last holds
        value = cast("Sequence[object]", given)[-1]
    if isinstance(value, str):
        try:
            value = float(value) if any(each in value for each in ".eEnN") else int(value)
        except ValueError:
            raise _wrong(name, "a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        raise _wrong(name, "a number")
    return value


def _wrong(name: str, wanted: str) -> InvalidRequest:
    return InvalidRequest(f'parameter "{name}" must be {wanted}', field="parameters")
