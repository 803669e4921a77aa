"""Times as Ollama writes them: RFC 3339, in UTC, with nanoseconds."""

import time
from datetime import UTC, datetime
from functools import lru_cache

_NANOSECONDS = 1_000_000_000


def now() -> str:
    seconds, rest = divmod(time.time_ns(), _NANOSECONDS)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(2)  # it is asked for with every token
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def rfc3339(moment: datetime) -> str:
    """``moment`` is aware."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
