"""How long a model stays in memory, as Ollama's clients say it: seconds, or a Go duration."""

import math
import re

from models.errors import InvalidRequest
from server.fields import Fields

_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # the micro sign,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_LONGEST = 1000 * 365 * 24 * 3600.0  # seconds


def read_keep_alive(fields: Fields) -> float | None:
    """Return the seconds that ``keep_alive`` asks for; inf: for ever; None: not said.

    ``ttl`` is LM Studio's name for it. Raises InvalidRequest.
    """
    ttl = _seconds(fields, "ttl")
    named = _seconds(fields, "keep_alive")
    return ttl if named is None else named


def _seconds(fields: Fields, name: str) -> float | None:
    value = fields.value(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise fields.wrong(name, "a number of seconds or a duration like '10m'", value)
    if isinstance(value, str):
        value = duration_seconds(value, name)
    return math.inf if value < 0 else float(min(value, _LONGEST))


def duration_seconds(text: str, name: str = "keep_alive") -> float:
    """Read a duration as Go's time.ParseDuration does: ``1h30m``, ``-1m``, ``1.5s``.

    A number without a unit is seconds.

    Raises InvalidRequest.
    """
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text.startswith("-") else 1.0
    if _SECONDS.fullmatch(unsigned):  # Go wants a unit; people leave it out
        return sign * float(unsigned)
    if not re.fullmatch(f"(?:{_PART.pattern})+", unsigned):
        raise InvalidRequest(
            f"\"{name}\" must be a number of seconds or a duration like '10m', not {text[:40]!r}.",
            field=name,
        )
    parts: list[tuple[str, str]] = _PART.findall(unsigned)
    return sign * sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in parts)
