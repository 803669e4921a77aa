"""How a request wants its tokens drawn: the same names in every family that has them."""

from dataclasses import replace

from models.chat import SamplingParams
from models.errors import InvalidRequest
from models.sampling_ranges import LONGEST_BREAKER_BYTES, MOST_BREAKERS, RANGES, from_numbers
from server.fields import Fields


def read_sampling(fields: Fields) -> SamplingParams:
    """Raises InvalidRequest."""
    numbers = {name: _number(fields, name) for name in RANGES}
    return replace(
        from_numbers(numbers),
        dry_sequence_breakers=_breakers(fields),
        ignore_eos=bool(fields.flag("ignore_eos")),
    )


def read_limit(fields: Fields, name: str) -> int | None:
    """Read a count of tokens, where 0 and -1 are ways to say that there is no limit."""
    limit = fields.integer(name)
    return None if limit is None or limit <= 0 else limit


def read_stop(fields: Fields) -> tuple[str, ...]:
    return tuple(text for text in fields.texts("stop") if text)


def _number(fields: Fields, name: str) -> float | None:
    least, most, whole = RANGES[name]
    if whole:
        return fields.integer(name, least=int(least), most=int(most))
    return fields.number(name, least=least, most=most)


def _breakers(fields: Fields) -> tuple[str, ...] | None:
    """None where nothing is said: the usual ones."""
    field = "dry_sequence_breakers"
    if fields.value(field) is None:
        return None
    breakers = tuple(text for text in fields.texts(field) if text)
    longest = max((len(each.encode("utf-8", "replace")) for each in breakers), default=0)
    if len(breakers) > MOST_BREAKERS or longest > LONGEST_BREAKER_BYTES:
        name = fields.name(field)
        raise InvalidRequest(
            f'"{name}" may have at most {MOST_BREAKERS} texts of {LONGEST_BREAKER_BYTES} bytes.',
            field=name,
        )
    return breakers
