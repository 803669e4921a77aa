"""From the rows of a contract, which lie flat, to the one nested JSON Schema that they are."""

from collections.abc import Iterable
from copy import deepcopy
from typing import cast

from server.contract import Honour, Row
from server.fields import Json

HONOUR = "x-inglenook-honour"  # what becomes of a field; only fields with a row have it


def body_schema(rows: Iterable[Row]) -> Json:
    """Return the schema of a JSON body. Fields that have no row may stand in it too."""
    body: Json = {"type": "object"}
    for row in rows:
        *path, name = row.name.split(".")
        owner = body
        for step in path:
            owner = _object_at(owner, step)
        owner.setdefault("properties", {})[name.removesuffix("[]")] = field_schema(row)
        if row.required:
            owner.setdefault("required", []).append(name)
    return body


def field_schema(row: Row) -> Json:
    schema = deepcopy(row.schema) | {HONOUR: row.honour.value}
    note = row.note
    if row.honour is not Honour.SUPPORTED:
        note = f"{row.honour.value.capitalize()}{f': {note}' if note else '.'}"
    return schema | ({"description": note} if note else {})


def _object_at(owner: Json, step: str) -> Json:
    """Return the schema of the object that a step leads to; ``[]``: that of the list's items."""
    name = step.removesuffix("[]")
    field: Json = owner.setdefault("properties", {}).setdefault(name, {"type": "object"})
    wanted = "array" if step.endswith("[]") else "object"
    for each in cast("list[Json]", field.get("anyOf", [field])):
        if each.get("type") == wanted:
            return each["items"] if wanted == "array" else each
    raise ValueError(f"{name!r} cannot be {wanted}, and a row says what is in it.")
