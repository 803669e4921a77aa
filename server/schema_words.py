"""What a JSON Schema allows, in words for a table."""

import json
from typing import Any, cast

from server.fields import Json

_TYPES = {
    "string": "text",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "object",
}


def words(schema: Json) -> str:
    """``whole number, 1 to 128``; an object's own fields are not told."""
    if choices := cast("list[Json]", schema.get("anyOf", [])):
        return " or ".join(words(each) for each in choices)
    if "enum" in schema:
        return ", ".join(map(_literal, schema["enum"]))
    if "const" in schema:
        return _literal(schema["const"])
    kind = schema.get("type")
    if kind is None:
        return "anything"
    if kind == "array":
        return f"list of {words(schema.get('items', {}))}"
    return _TYPES[kind] + _range(schema)


def _range(schema: Json) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", at least {least}"
    return "" if most is None else f", at most {most}"


def _literal(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    return f"`{json.dumps(value, ensure_ascii=False)}`"
