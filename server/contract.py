"""What every route takes, field by field: the table behind refusals, /openapi.json and the docs.

Each family has its own rows beside its parser. A field that a parser reads is done as it says;
what nobody has read is looked up here: a *contract* is refused, since without it the answer
would not be what was asked, and a *hint*, or a field that nobody knows, is told in a header.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from models.errors import InvalidRequest
from models.sampling_ranges import RANGES
from server.fields import Fields, Json

_LARGEST_BOUND = 2**53  # beyond it a bound says nothing: JSON's numbers are not exact there


class Honour(StrEnum):
    """What becomes of a field that is given."""

    SUPPORTED = "supported"
    REFUSED = "refused"  # a contract that cannot be kept: 400, naming it
    IGNORED = "ignored"  # a hint: named in X-Inglenook-Ignored


@dataclass(frozen=True, slots=True)
class Row:
    """One field. ``schema`` is a JSON Schema of what it may be; null is always as absent.

    ``name`` is where it stands: ``stream_options.include_usage``, ``messages[].content``.
    ``note`` is what a reader should know beside: a range, a default, why it is refused.
    """

    name: str
    schema: Json
    honour: Honour = Honour.SUPPORTED
    note: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``path`` is written as OpenAPI has it: ``/v1/models/{model}``."""

    method: str
    path: str
    summary: str  # a sentence
    rows: tuple[Row, ...] = ()  # of the JSON body
    query: tuple[Row, ...] = ()
    streams: bool = False  # where the body asks for it
    known: frozenset[str] = field(init=False)  # what a body may have

    def __post_init__(self) -> None:
        known = (re.split(r"[.\[]", row.name, maxsplit=1)[0] for row in self.rows)
        object.__setattr__(self, "known", frozenset(known))


def settle(fields: Fields, route: Route) -> tuple[str, ...]:
    """Return the names of the fields that were given and have no effect. Call it last.

    Raises:
        InvalidRequest: one of them is a contract.
    """
    ignored = tuple(dict.fromkeys([*fields.ignored(), *without_row(fields.given(), route)]))
    if not ignored:
        return ()
    contracts = {row.name: row for row in route.rows if row.honour is Honour.REFUSED}
    for name in ignored:
        if row := contracts.get(name):
            why = f": {row.note}" if row.note else ""
            raise InvalidRequest(f'"{name}" is not supported{why}.', field=name)
    return ignored


def without_row(body: Json, route: Route) -> list[str]:
    """Return what a route has no row for: a parser of several routes may have read it."""
    return [name for name, value in body.items() if value is not None and name not in route.known]


# -- What a field may be -------------------------------------------------------

TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
OBJECT: Json = {"type": "object"}
ANYTHING: Json = {}


def integer(least: int | None = None, most: int | None = None) -> Json:
    return {"type": "integer", **_range(least, most)}


def number(least: float | None = None, most: float | None = None) -> Json:
    return {"type": "number", **_range(least, most)}


def drawn(name: str, note: str = "") -> Row:
    """Return the row of one of the numbers that all families name alike."""
    known = RANGES[name]
    if known.whole:
        return Row(name, integer(int(known.least), int(known.most)), note=note)
    return Row(name, number(known.least, known.most), note=note)


def one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


def list_of(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def either(*schemas: Json) -> Json:
    return {"anyOf": list(schemas)}


def _range(least: float | None, most: float | None) -> dict[str, Any]:
    ends = {"minimum": least, "maximum": most}
    return {
        name: value
        for name, value in ends.items()
        if value is not None and abs(value) <= _LARGEST_BOUND
    }
