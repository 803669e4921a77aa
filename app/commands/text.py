"""How the command writes numbers, times and tables."""

from collections.abc import Sequence
from datetime import UTC, datetime

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


def _span(seconds: float, sentence: str, none: str) -> str:
    for unit, length in _UNITS:
        number = int(seconds // length)
        if number >= 1:
            return sentence.format(f"{number} {unit}{'s' if number > 1 else ''}")
    return none
