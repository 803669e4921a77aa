"""What a parameter that was written as plain text is, by the schema of its tool."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from models.chat import Tool

_DEEPEST = 20  # of references, one to the next
_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)
_BRANCHES = ("anyOf", "oneOf", "allOf")
_NO_JSON = (ValueError, RecursionError)
_NO_PYTHON = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


class ParameterTypes:
    """The types that the parameters of some tools may have."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {each.name: each.parameters or {} for each in tools}

    def of(self, tool: str, parameter: str) -> frozenset[str]:
        """Return the names of its types; none, where nothing is known."""
        root = self._tools.get(tool, {})
        properties = _object(_resolved(root, root).get("properties"))
        return types_of(properties.get(parameter), root)


def types_of(schema: object, root: object) -> frozenset[str]:
    """Return the names of a schema's types; none, where nothing is known. ``root`` is around it."""
    return frozenset(_types(schema, root, _DEEPEST))


def _resolved(schema: object, root: object) -> Mapping[str, Any]:
    found = _object(schema)
    for _ in range(_DEEPEST):
        place = found.get("$ref")
        if not isinstance(place, str) or not place.startswith("#"):
            break
        found = _object(root)
        for key in filter(None, place[1:].split("/")):
            found = _object(found.get(key.replace("~1", "/").replace("~0", "~")))
    return found


def _object(found: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}


def _listed(found: object) -> list[Any]:
    return cast("list[Any]", found) if isinstance(found, list) else []


def _types(schema: object, root: object, deepest: int) -> set[str]:
    found = _resolved(schema, root)
    kinds: Any = found.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(kinds, list):
        types = {str(each) for each in cast("list[Any]", kinds)}
    elif values := [found["const"]] if "const" in found else _listed(found.get("enum")):
        types = {name for each in values for kind, name in _TYPE_NAMES if type(each) is kind}
    else:
        branches = [each for key in _BRANCHES for each in _listed(found.get(key))]
        each = [_types(branch, root, deepest - 1) for branch in branches] if deepest else []
        types = set[str]().union(*each) if all(each) else set[str]()
    return types | ({"null"} if found.get("nullable") is True else set())


def property_of(schemas: Iterable[object], name: str, root: object) -> Iterator[object]:
    """The schemas that a property may have of an object that has one of some schemas."""
    for schema in _branches(schemas, root, _DEEPEST):
        properties = _object(schema.get("properties"))
        if name in properties:
            yield properties[name]
        elif isinstance(more := schema.get("additionalProperties"), dict):
            yield more


def items_of(schemas: Iterable[object], root: object) -> Iterator[object]:
    """Likewise, of the items of a list."""
    for schema in _branches(schemas, root, _DEEPEST):
        if "prefixItems" in schema:  # each has a schema of its own
            yield {}
        elif isinstance(items := schema.get("items"), dict):
            yield items


def _branches(schemas: Iterable[object], root: object, deepest: int) -> Iterator[Mapping[str, Any]]:
    for each in schemas:
        schema = _resolved(each, root)
        yield schema
        if deepest:
            for key in _BRANCHES:
                yield from _branches(_listed(schema.get(key)), root, deepest - 1)


def coerced(text: str, types: frozenset[str]) -> str | None:
    """Return as JSON what a text means where no string may be; None: nothing of these types."""
    value, written = _value(text.strip())
    names = {name for kind, name in _TYPE_NAMES if type(value) is kind}
    if "integer" in names:
        names.add("number")
    return written if written is not None and names & types else None


def as_json(text: str, types: frozenset[str]) -> str:
    """Return as JSON what a text says that stands for a value of one of these types.

    Where it may be a string, it is one, unless it can only be meant for something else.
    """
    stripped = text.strip()
    if "null" in types and stripped in ("null", "None"):
        return "null"
    value, written = _value(stripped)
    if "string" in types:
        container = "object" if isinstance(value, dict) else "array"
        if not (isinstance(value, dict | list) and container in types):
            return json.dumps(text, ensure_ascii=False)
    if written is None and "boolean" in types and stripped.lower() in ("true", "false"):
        return stripped.lower()
    return json.dumps(text, ensure_ascii=False) if written is None else written


def _value(text: str) -> tuple[Any, str | None]:
    """Return what a text says, and as JSON; None: it is no literal."""
    try:
        value = _decode(text)
    except _NO_JSON:
        return python_value(text)
    return value, text


def python_value(text: str) -> tuple[Any, str | None]:
    """Likewise, of a literal of Python."""
    try:
        value = ast.literal_eval(text)
        return value, json.dumps(value, ensure_ascii=False, allow_nan=False)
    except _NO_PYTHON:
        return None, None


def literal_as_json(text: str) -> str:
    """Return as JSON a literal of JSON or Python, or of both mixed; what is none is a string."""
    _, written = _value(text.strip())
    if written is None:
        _, written = python_value(_WORDS.sub(lambda found: _PYTHON[found[0]], text.strip()))
    return json.dumps(text, ensure_ascii=False) if written is None else written


_PYTHON = {"true": "True", "false": "False", "null": "None"}
_WORDS = re.compile(r"\b(?:true|false|null)\b(?=\s*[,\]}]|$)")


def _refuse(constant: str) -> float:
    raise ValueError(constant)  # NaN and Infinity are no JSON


_decode = json.JSONDecoder(parse_constant=_refuse).decode  # json.loads would make one for each text
