"""Fields that hold one of a few words, and what is said of any other."""

from collections.abc import Iterable

from models.errors import InvalidRequest
from server.fields import Fields


def word(fields: Fields, field: str, known: Iterable[str]) -> str:
    """Return a field that must be there and be one of ``known``. Raises InvalidRequest."""
    said = fields.required_text(field)
    if said not in known:
        raise not_among(fields, field, known, said)
    return said


def optional_word(fields: Fields, field: str, known: Iterable[str]) -> str | None:
    """Likewise for one that may be absent."""
    return None if fields.value(field) is None else word(fields, field, known)


def not_among(fields: Fields, field: str, known: Iterable[str], got: str) -> InvalidRequest:
    name = fields.name(field)
    return InvalidRequest(
        f'"{name}" must be one of {", ".join(known)}, not {got[:40]!r}.', field=name
    )
