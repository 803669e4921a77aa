"""A JSON Schema, as it is asked for, to one that llguidance obeys to the letter.

What it cannot obey is refused with its place; what says nothing of what is valid is left out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, cast

from models.engine.grammar_formats import LONGEST, PATTERNS
from models.engine.grammar_limits import (
    SUPPORTED_FORMATS,
    SUPPORTED_KEYWORDS,
    UNSUPPORTED_FORMATS,
    UNSUPPORTED_KEYWORDS,
    Limit,
)
from models.errors import InvalidRequest

Schema: TypeAlias = dict[str, Any]

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

_LOWER = ("minimum", "exclusiveMinimum")
_UPPER = ("maximum", "exclusiveMaximum")
_LARGEST_INTEGER = (1 << 53) - 1  # what every reader of JSON can hold (RFC 8259, section 6)
_LARGEST_NUMBER = 10**15
_SMALLEST_STEP = 1e-9  # llguidance knows no smaller one

# White space has an end here: a space behind a comma and a colon, as most models write it, and
# no other. (Its ``whitespace_pattern`` may be repeated without end.)
GUIDANCE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def prepared(schema: Mapping[str, Any]) -> Schema:
    """Return a schema for llguidance, with our white space.

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
    return {**made, "x-guidance": GUIDANCE}


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
    _bound_numbers(made)
    _bound_formats(made)
    for key in _NAMED:
        if isinstance(named := made.get(key), dict):
            made[key] = {
                name: _read(inner, f"{at}/{key}/{_escaped(name)}", depth + 1)
                for name, inner in _items(named)
            }
    for key in (*_LISTED, "items"):
        if isinstance(listed := made.get(key), list):
            made[key] = [
                _read(inner, f"{at}/{key}/{place}", depth + 1)
                for place, inner in enumerate(_values(listed))
            ]
    for key in _SINGLE:
        if isinstance(made.get(key), dict):
            made[key] = _read(made[key], f"{at}/{key}", depth + 1)
    if _exclusive(made.get("oneOf")):  # any is then one
        made["allOf"] = [*_values(made.get("allOf")), {"anyOf": made.pop("oneOf")}]
    return made


def _refuse(schema: Mapping[str, Any], at: str) -> None:
    for key in UNSUPPORTED_KEYWORDS & schema.keys():
        if schema[key] not in _IDLE.get(key, ()):
            raise cannot(at, f"keyword '{key}' is not supported")
    if "multipleOf" in schema and _all_negative(schema):
        # The llguidance that is in llama.cpp finds none of them.
        raise cannot(at, "'multipleOf' is not supported for numbers that are all below 0")
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
    if schema.get("format") not in SUPPORTED_FORMATS:
        schema.pop("format", None)  # OpenAPI's "int32", "password" …: annotations
    required = schema.get("required")
    known = len(set(map(str, _values(required)))) if isinstance(required, list) else 0
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if isinstance(least, int) and least <= known:
        del schema["minProperties"]
    named = schema.get("properties")
    closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    if closed and isinstance(named, dict) and isinstance(most, int) and most >= len(_items(named)):
        del schema["maxProperties"]


def _bound_numbers(schema: Schema) -> None:
    """Give a number an end, where nobody has: a model may go on with digits for ever."""
    kind = schema.get("type")
    kinds = {str(each) for each in (_values(kind) or [kind])}
    if not kinds & {"integer", "number"} or schema.keys() & {"enum", "const"}:
        return
    most = _LARGEST_NUMBER if "number" in kinds else _LARGEST_INTEGER
    bounds = [schema[key] for key in (*_LOWER, *_UPPER) if key in schema]
    if not all(isinstance(each, int | float) and abs(each) < most for each in bounds):
        return  # larger ones are wanted
    if not any(key in schema for key in _LOWER):
        schema["minimum"] = -most
    if not any(key in schema for key in _UPPER):
        schema["maximum"] = most
    if "number" in kinds and "multipleOf" not in schema and not _all_negative(schema):
        _bound_decimals(schema, kinds)


def _bound_decimals(schema: Schema, kinds: set[str]) -> None:
    """Leave those of numbers from 0 on an end. The llguidance that is in llama.cpp would find no
    number below 0 that is a multiple of something."""
    lower = {key: schema[key] for key in _LOWER if key in schema}
    upper = {key: schema[key] for key in _UPPER if key in schema}
    if all(each >= 0 for each in lower.values()):
        schema["multipleOf"] = _SMALLEST_STEP
        return
    from_0 = {"type": "number", "minimum": 0, **upper, "multipleOf": _SMALLEST_STEP}
    branches: list[Schema] = [from_0, {"type": "number", **lower, "exclusiveMaximum": 0}]
    if others := sorted(kinds - {"number"}):
        branches.append({"type": others})
    schema["allOf"] = [*_values(schema.get("allOf")), {"anyOf": branches}]


def _all_negative(schema: Mapping[str, Any]) -> bool:
    bounds = (schema.get("maximum"), schema.get("exclusiveMaximum"))
    return any(isinstance(each, int | float) and each < 0 for each in bounds) or bounds[1] == 0


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
