"""How the command writes numbers, times and tables."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from app.setting_kinds import Seconds
from models import adapters
from models.model import KvType, Profile

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def count(number: int) -> str:
    """As ``3.2 B``: how parameters are counted."""
    for unit, one in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= one:
            return f"{number / one:.1f} {unit}"
    return str(number)


def ago(moment: datetime) -> str:
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return _span(seconds, "{} ago", "just now")


def until(moment: datetime) -> str:
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return _span(seconds, "{} from now", "now")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *rows]
    )
    return "\n".join(lines)


def profile(profile: Profile) -> str:
    """Return what is set for a model, as ``ingle set`` would take it; "" for nothing."""
    found: list[str] = []
    if profile.context_length is not None:
        found.append(f"context_length={profile.context_length}")
    if profile.kv_type is not KvType.F16:
        found.append(f"kv_type={profile.kv_type}")
    if profile.keep_alive_seconds is not None:
        found.append(f"keep_alive={Seconds().show(profile.keep_alive_seconds)}")
    if profile.drafts:
        found.append(shlex.quote(f"drafts={profile.drafts}"))
    if profile.adapters:
        found.append(shlex.quote(f"adapters={adapters.written(profile.adapters)}"))
    return " ".join([*found, *(f"{key}={value:g}" for key, value in profile.sampling.items())])


def _span(seconds: float, sentence: str, none: str) -> str:
    for unit, length in _UNITS:
        number = int(seconds // length)
        if number >= 1:
            return sentence.format(f"{number} {unit}{'s' if number > 1 else ''}")
    return none
