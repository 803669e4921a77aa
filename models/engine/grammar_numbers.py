"""The numbers of a JSON Schema: each gets an end, or a model may go on with digits for ever.

The llguidance in llama.cpp (xllamacpp 2026.10.11549) finds no multiple of anything below 0, and
a multiple is what bounds decimals. So a number that may be below 0 is one of two parts: one from
0 on, and one behind a "-".
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any, TypeAlias, cast

Schema: TypeAlias = dict[str, Any]

_LOWER = ("minimum", "exclusiveMinimum")
_UPPER = ("maximum", "exclusiveMaximum")
BOUNDS = (*_LOWER, *_UPPER, "multipleOf")
_MIRRORED: Mapping[str, str] = dict(zip(_LOWER, _UPPER, strict=True))
_LARGEST_INTEGER = (1 << 53) - 1  # what every reader of JSON can hold (RFC 8259, section 6)
_LARGEST_NUMBER = 10**15
_SMALLEST_STEP = 1e-9  # llguidance knows no smaller one


def bound_numbers(schema: Schema) -> None:
    """Give numbers a smallest and a largest, where nobody has."""
    most = _largest(schema)
    if not _kinds(schema) or not _within(schema, most - 1):
        return  # larger ones are wanted
    if not any(key in schema for key in _LOWER):
        schema["minimum"] = -most
    if not any(key in schema for key in _UPPER):
        schema["maximum"] = most


def bound_decimals(schema: Schema) -> None:
    """Leave numbers from 0 on nine decimals; those below 0 need ``parts`` for that."""
    if not _needs_decimals(schema):
        return
    if not _may_be_below_0(schema):
        schema["multipleOf"] = _SMALLEST_STEP
    elif not all_below_0(schema):
        lower = {key: schema[key] for key in _LOWER if key in schema}
        branches = [_from_0(schema), {"type": "number", **lower, "exclusiveMaximum": 0}]
        if types := sorted(_types(schema) - {"number"}):
            branches.append({"type": types})
        joined = schema.get("allOf")
        others = cast("list[Any]", joined) if isinstance(joined, list) else []
        schema["allOf"] = [*others, {"anyOf": branches}]


def has_parts(schema: Mapping[str, Any]) -> bool:
    """Whether it is a number of which some are found only by their ``parts``."""
    if not _kinds(schema) or not _may_be_below_0(schema):
        return False
    return "multipleOf" in schema or _needs_decimals(schema)


def parts(schema: Mapping[str, Any]) -> list[tuple[str, Schema]]:
    """Return what makes up a schema of type number or integer: signs, and numbers from 0 on."""
    lower = {_MIRRORED[key]: -schema[key] for key in _LOWER if key in schema}
    upper = {low: -schema[up] for low, up in _MIRRORED.items() if _below(schema, up, 0)}
    below: Schema = {
        "type": schema["type"],
        "exclusiveMinimum": 0,
        **upper,
        **lower,
        "multipleOf": _step(schema),
    }
    found = [] if all_below_0(schema) else [("", _from_0(schema))]
    found.append(("-", below))
    # llguidance refuses a part that is empty; where both are, it has to say so.
    return [each for each in found if _has_any(each[1])] or found


def all_below_0(schema: Mapping[str, Any]) -> bool:
    return _below(schema, "maximum", 0) or (
        _below(schema, "exclusiveMaximum", 0) or schema.get("exclusiveMaximum") == 0
    )


def _from_0(schema: Mapping[str, Any]) -> Schema:
    upper = {key: schema[key] for key in _UPPER if key in schema}
    kind = "number" if "number" in _kinds(schema) else "integer"
    return {"type": kind, "minimum": 0, **upper, "multipleOf": _step(schema)}


def _step(schema: Mapping[str, Any]) -> int | float:
    return schema.get("multipleOf", _SMALLEST_STEP if "number" in _kinds(schema) else 1)


def _has_any(part: Mapping[str, Any]) -> bool:
    step = Fraction(str(part["multipleOf"]))
    if part["type"] == "integer":
        step = Fraction(step.numerator)
    if step <= 0:
        return True  # llguidance has words for that
    of = {key: Fraction(str(part[key])) / step for key in BOUNDS[:-1] if key in part}
    lower = [ceil(of[key]) for key in ("minimum",) if key in of]
    lower += [floor(of[key]) + 1 for key in ("exclusiveMinimum",) if key in of]
    upper = [floor(of[key]) for key in ("maximum",) if key in of]
    upper += [ceil(of[key]) - 1 for key in ("exclusiveMaximum",) if key in of]
    return max(lower) <= min(upper)


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """Which of the two kinds of numbers it may be; none where its values are listed."""
    if schema.keys() & {"enum", "const"}:
        return set()
    return _types(schema) & {"integer", "number"}


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    return set(map(str, cast("list[Any]", kind) if isinstance(kind, list) else [kind]))


def _needs_decimals(schema: Mapping[str, Any]) -> bool:
    bounded = any(key in schema for key in _LOWER) and any(key in schema for key in _UPPER)
    if "number" not in _kinds(schema) or "multipleOf" in schema or not bounded:
        return False
    return _within(schema, _LARGEST_NUMBER)


def _within(schema: Mapping[str, Any], most: int) -> bool:
    bounds = [schema[key] for key in (*_LOWER, *_UPPER) if key in schema]
    return all(isinstance(each, int | float) and abs(each) <= most for each in bounds)


def _largest(schema: Mapping[str, Any]) -> int:
    return _LARGEST_NUMBER if "number" in _kinds(schema) else _LARGEST_INTEGER


def _may_be_below_0(schema: Mapping[str, Any]) -> bool:
    return all(_below(schema, key, 0) for key in _LOWER if key in schema)


def _below(schema: Mapping[str, Any], key: str, limit: float) -> bool:
    return isinstance(bound := schema.get(key), int | float) and bound < limit
