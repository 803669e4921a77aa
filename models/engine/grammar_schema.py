"""A JSON Schema, as it is asked for, to one that llguidance obeys to the letter.

What it cannot obey is refused with its place; what says nothing of what is valid is left out.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from models.engine.grammar_formats import LONGEST, PATTERNS
from models.engine.grammar_limits import (
    SUPPORTED_FORMATS,
    SUPPORTED_KEYWORDS,
    UNSUPPORTED_FORMATS,
    UNSUPPORTED_KEYWORDS,
    Limit,
)
from models.engine.grammar_numbers import Schema, all_below_0, bound_decimals, bound_numbers
from models.errors import InvalidRequest

# Where schemas lie in schemas.
_NAMED = ("properties", "patternProperties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalItems", "additionalProperties")
# Values with which a keyword asks for nothing.
_IDLE: Mapping[str, tuple[object, ...]] = {
    "uniqueItems": (False,),
    "not": (False,),
    "propertyNames": (True, {}),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "dependencies": ({},),
}
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")

# White space has an end here: a space behind a comma and a colon, as most models write it, and
# no other. (Its ``whitespace_pattern`` may be repeated without end.)
_GUIDANCE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def prepared(schema: Mapping[str, Any]) -> Schema:
    """Return a schema for llguidance.

    Raises:
        InvalidRequest: it is too large, or has what cannot be obeyed.
    """
    try:
        size = len(json.dumps(schema))
    except RecursionError:
        raise too_deep() from None
    Limit.SCHEMA_BYTES.check(size, "The schema")
    made = _read(schema, "", 0)
    assert isinstance(made, dict), "it was an object"
    return cast("Schema", made)


def as_json(schema: Schema, at: str = "") -> str:
    """Return a prepared schema as a rule of Lark has it.

    Raises:
        InvalidRequest: it has a number that only ``parts`` would find.
    """
    return f"%json {json.dumps({**_with_decimals(schema, at), 'x-guidance': _GUIDANCE})}"


def inside(schema: Schema) -> list[Schema]:
    """Return the schemas that are next inside a schema."""
    found: list[Schema] = []

    def keep(inner: Any, _: str) -> None:  # noqa: ANN401  # JSON
        if isinstance(inner, dict):
            found.append(cast("Schema", inner))

    _each_inside(schema, "", keep)
    return found


def _with_decimals(schema: Any, at: str) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(schema, dict):
        return schema
    made = dict(cast("Schema", schema))
    if "multipleOf" in made and all_below_0(made):
        raise cannot(at, "'multipleOf' is not supported here for numbers that are all below 0")
    bound_decimals(made)
    return _each_inside(made, at, _with_decimals)


def _each_inside(schema: Schema, at: str, make: Callable[[Any, str], Any]) -> Schema:
    """Return a schema with what is made of each schema in it, which gets its place too."""
    made = dict(schema)
    for key in _NAMED:
        if isinstance(made.get(key), dict):
            made[key] = {
                name: make(inner, f"{at}/{key}/{_escaped(name)}")
                for name, inner in _items(made[key])
            }
    for key in (*_LISTED, "items"):
        if isinstance(made.get(key), list):
            made[key] = [
                make(inner, f"{at}/{key}/{place}") for place, inner in enumerate(_values(made[key]))
            ]
    for key in _SINGLE:
        if isinstance(made.get(key), dict):
            made[key] = make(made[key], f"{at}/{key}")
    return made


def cannot(place: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The schema cannot be obeyed: at {place or '/'}: {why}.")


def too_deep() -> InvalidRequest:
    return InvalidRequest(
        f"The schema has more than {Limit.NESTING.value.most} levels inside one another."
    )


def places(schema: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema in a schema with its place, the innermost first."""
    for key in _NAMED:
        for name, inner in _items(schema.get(key)):
            if isinstance(inner, dict):
                yield from places(cast("Schema", inner), f"{at}/{key}/{_escaped(name)}")
    for key in (*_LISTED, "items"):
        for place, inner in enumerate(_values(schema.get(key))):
            if isinstance(inner, dict):
                yield from places(cast("Schema", inner), f"{at}/{key}/{place}")
    for key in _SINGLE:
        if isinstance(inner := schema.get(key), dict):
            yield from places(cast("Schema", inner), f"{at}/{key}")
    yield at, dict(schema)


def _read(schema: Any, at: str, depth: int) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(schema, Mapping):
        return schema  # true, false, or what llguidance will not like
    if depth > Limit.NESTING.value.most:
        raise too_deep()
    given = cast("Mapping[str, Any]", schema)
    made = {key: value for key, value in given.items() if key in SUPPORTED_KEYWORDS}
    _refuse(given, at)
    _check_sizes(made, at)
    _drop_idle(made)
    bound_numbers(made)
    _bound_formats(made)
    made = _each_inside(made, at, lambda inner, place: _read(inner, place, depth + 1))
    if _exclusive(made.get("oneOf")):  # any is then one
        made["allOf"] = [*_values(made.get("allOf")), {"anyOf": made.pop("oneOf")}]
    return made


def _refuse(schema: Mapping[str, Any], at: str) -> None:
    for key in UNSUPPORTED_KEYWORDS & schema.keys():
        if schema[key] not in _IDLE.get(key, ()):
            raise cannot(at, f"keyword '{key}' is not supported")
    form = schema.get("format")
    if isinstance(form, str) and form in UNSUPPORTED_FORMATS:
        raise cannot(at, f"format '{form}' is not supported")
    least, required = schema.get("minProperties"), schema.get("required")
    known = len(_values(required)) if isinstance(required, list) else 0
    if isinstance(least, int) and least > max(1, known):
        raise cannot(at, "'minProperties' above 1 is supported only for required properties")


def _check_sizes(schema: Schema, at: str) -> None:
    here = f"The schema at {at or '/'}"
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(found := schema.get(key), list):
            Limit.ALTERNATIVES.check(len(_values(found)), here)
    if isinstance(found := schema.get("enum"), list):
        Limit.ENUM_ENTRIES.check(len(_values(found)), here)
    for key in _COUNTS:
        if isinstance(found := schema.get(key), int):
            Limit.REPETITIONS.check(found, here)
    if isinstance(found := schema.get("properties"), dict):
        names = {name for name, _ in _items(found)}
        required = schema.get("required")
        needed = set(map(str, _values(required))) if isinstance(required, list) else set[str]()
        Limit.PROPERTIES.check(len(names), here)
        Limit.OPTIONAL_PROPERTIES.check(len(names - needed), here)


def _drop_idle(schema: Schema) -> None:
    """Leave out what asks for nothing, and would be refused all the same."""
    form = schema.get("format")
    if isinstance(form, str) and form not in SUPPORTED_FORMATS:
        del schema["format"]  # OpenAPI's "int32", "password" …: annotations
    required = schema.get("required")
    known = len(set(map(str, _values(required)))) if isinstance(required, list) else 0
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if isinstance(least, int) and least <= known:
        del schema["minProperties"]
    named = schema.get("properties")
    closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    if closed and isinstance(named, dict) and isinstance(most, int) and most >= len(_items(named)):
        del schema["maxProperties"]


def _bound_formats(schema: Schema) -> None:
    form = str(schema.get("format"))
    if form in LONGEST:
        schema.setdefault("maxLength", LONGEST[form])
    if form in PATTERNS:
        del schema["format"]
        pattern = {"pattern": PATTERNS[form]}
        if "pattern" in schema:
            schema["allOf"] = [*_values(schema.get("allOf")), pattern]
        else:
            schema |= pattern


def _exclusive(branches: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether no value is in two of some branches: each lists its own."""
    if not isinstance(branches, list) or not branches:
        return False
    seen: set[str] = set()
    for branch in _values(cast("list[Any]", branches)):
        if not isinstance(branch, dict):
            return False
        given = cast("Schema", branch)
        listed = _values(given.get("enum")) or [given[key] for key in ("const",) if key in given]
        values = {json.dumps(each, sort_keys=True) for each in listed}
        if not values or seen & values:
            return False
        seen |= values
    return True


def _escaped(name: str) -> str:
    """A name as a JSON Pointer has it (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _items(named: Any) -> list[tuple[str, Any]]:  # noqa: ANN401  # JSON
    return list(cast("Schema", named).items()) if isinstance(named, dict) else []


def _values(listed: Any) -> list[Any]:  # noqa: ANN401  # JSON
    return cast("list[Any]", listed) if isinstance(listed, list) else []
