"""A JSON Schema as Lark: one rule, or, where numbers have parts, rules down to those numbers.

So it is with strings whose pattern allows for escapes (``grammar_strings.py``).

    body: "{" "\\"x\\": " r1 ", " "\\"y\\": " r2 "}"
    r1: r3 | "-" r4
    r2: %json {...}

JSON Schema cannot say "-" and then a number, and Lark can. Everything else is left to
llguidance, and so is all below a keyword that puts schemas on top of one another.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from models.engine.grammar_limits import Limit
from models.engine.grammar_numbers import BOUNDS, Schema, has_parts, parts
from models.engine.grammar_schema import as_json, inside, places
from models.engine.grammar_strings import string_regex

_ROOT = ("$schema", "$id", "$defs", "definitions")  # which say nothing of a value
_OF_TYPE: Mapping[str, Sequence[str]] = {
    "number": BOUNDS,
    "integer": BOUNDS,
    "string": ("minLength", "maxLength", "pattern", "format"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "object": (
        *("properties", "required", "additionalProperties"),
        *("patternProperties", "maxProperties"),
    ),
    "boolean": (),
    "null": (),
}
_OTHERS_OF_A_STRING = {*_OF_TYPE["string"], "enum", "const"} - {"pattern"}
# Without escapes for what needs none, or a name could be written in two ways.
_STRING = r'STRING: /"([^"\\\x00-\x1F\x7F]|\\["\\bfnrt])*"/'
# Some 450 numbers with bounds of their own, which take llguidance half a second to read. What is
# larger is left to it whole, or would be refused for taking too long.
_LONGEST = Limit.SCHEMA_BYTES.value.most // 2


class _NotAsRules(Exception):
    """It is a schema that Lark alone cannot say."""


def schema_rules(schema: Schema) -> str:
    """Return the rule ``body`` of a prepared schema, with those that it needs.

    Raises:
        InvalidRequest: it has what cannot be obeyed.
    """
    if any(has_parts(inner) or _string(inner) for _, inner in places(schema)):
        try:
            made = _Rules(schema).text()
            if len(made) <= _LONGEST:
                return made
        except (_NotAsRules, RecursionError):
            pass
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # it is no schema: llguidance has words for that
    return f"body: {as_json(schema)}"


class _Rules:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._definitions: dict[str, Schema] = {
            f"#/{key}/{_escaped(name)}": inner
            for key in ("$defs", "definitions")
            for name, inner in root.get(key, {}).items()
        }
        self._names: dict[str, str] = {}  # of rules, by what they say or whose they are
        self._lines: list[str] = []
        self._refer = False  # whether what refers to a definition may be a number with parts
        for at, inner in places(root):
            if (at and "$id" in inner) or inner.get("$ref", "#/$defs") not in {
                "#/$defs",
                *self._definitions,
            }:
                raise _NotAsRules
        if False in self._definitions.values() or True in self._definitions.values():
            raise _NotAsRules
        self._divided_ones: dict[int, tuple[Schema, bool]] = {}  # by id, which they keep
        self._refer = any(map(self._divides, self._definitions.values()))
        self._divided_ones.clear()

    def text(self) -> str:
        body = {key: each for key, each in self._root.items() if key not in _ROOT}
        lines = [f"body: {self._of(body, '')}", *self._lines]
        return "\n".join([*lines, _STRING] if any("STRING" in each for each in lines) else lines)

    def _divides(self, schema: Schema) -> bool:
        """Whether a number with parts is in it, or a string that is written by a rule."""
        known = self._divided_ones.get(id(schema))
        if known is None:
            found = has_parts(schema) or bool(_string(schema)) or (self._refer and "$ref" in schema)
            for inner in inside(schema):
                found = self._divides(inner) or found
            known = self._divided_ones[id(schema)] = schema, found
        return known[1]

    def _of(self, schema: Any, at: str) -> str:  # noqa: ANN401  # JSON
        """Return the name of the rule of a schema."""
        if not isinstance(schema, dict):
            if schema is not True:
                raise _NotAsRules
            return self._rule(as_json({}))
        given = cast("Schema", schema)
        if self._divides(given):
            try:
                return self._divided(given, at)
            except _NotAsRules:
                pass
        if any("$ref" in inner for _, inner in places(given)):
            given = {key: self._root[key] for key in _ROOT if key in self._root} | given
        return self._rule(as_json(given, at))

    def _divided(self, schema: Schema, at: str) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = cast("list[Any]", kind)
            if not _OF_TYPE.keys() >= set(kinds):
                raise _NotAsRules
            return self._any([{**schema, "type": each} for each in kinds], at)
        if schema.keys() == {"$ref"}:
            return self._definition(schema["$ref"])
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.keys() == {key}:
                return self._joined(key, schema[key], at)
        own = _own(schema)
        match kind:
            case "number" | "integer" if has_parts(own):
                signed = [
                    f'"{sign}" {self._rule(as_json(part))}' if sign else self._rule(as_json(part))
                    for sign, part in parts(own)
                ]
                return self._rule(" | ".join(signed))
            case "string" if regex := _string(own):
                return self._rule(f"/{regex}/")
            case "object":
                return self._object(own, at)
            case "array":
                return self._array(own, at)
            case _:
                return self._rule(as_json(own, at))

    def _any(self, branches: Sequence[Any], at: str) -> str:
        return self._rule(" | ".join(self._of(each, at) for each in branches))

    def _joined(self, key: str, branches: Sequence[Any], at: str) -> str:
        schemas = [cast("Schema", each) for each in branches if isinstance(each, dict)]
        kinds = {str(each.get("type")) for each in schemas} & _OF_TYPE.keys()
        apart = len(kinds) == len(branches) and not kinds >= {"integer", "number"}
        if key == "anyOf" or len(branches) == 1 or (key == "oneOf" and apart):
            return self._any(branches, f"{at}/{key}")
        raise _NotAsRules

    def _definition(self, reference: str) -> str:
        if reference not in self._names:
            name = self._names[reference] = f"r{len(self._names)}"
            made = self._of(self._definitions[reference], reference.removeprefix("#"))
            self._lines.append(f"{name}: {made}")
        return self._names[reference]

    def _object(self, schema: Schema, at: str) -> str:
        named: dict[str, Any] = schema.get("properties", {})
        required = set(schema.get("required", []))
        most = schema.get("maxProperties")
        if not required <= named.keys() or (most is not None and required < named.keys()):
            raise _NotAsRules
        room = None if most is None else most - len(named)
        others = "" if room == 0 else self._other_pair(schema, named, at)
        # From the last: what comes first, and what comes behind another.
        first = self._rule(_times(others, 0, room) if others else '""')
        behind = self._rule(f'(", " {others}){{0,{_or_none(room)}}}' if others else '""')
        for name, inner in reversed(named.items()):
            value = self._of(inner, f"{at}/properties/{_escaped(name)}")
            pair = f"{_literal(_quoted(name) + ': ')} {value}"
            or_first, or_behind = ("", "") if name in required else (f" | {first}", f" | {behind}")
            first = self._rule(f"{pair} {behind}{or_first}")
            behind = self._rule(f'", " {pair} {behind}{or_behind}')
        return self._rule(f'"{{" {first} "}}"')

    def _other_pair(self, schema: Schema, named: Mapping[str, Any], at: str) -> str:
        """Return a pair that is none of those named; "": there is no other."""
        more = schema.get("additionalProperties", True)
        if patterns := schema.get("patternProperties"):
            ((pattern, inner),) = patterns.items() if len(patterns) == 1 else [("", None)]
            if inner is None or more is not False or _any_matches(pattern, named):
                raise _NotAsRules
            key = self._rule(as_json({"type": "string", "pattern": pattern}))
            value = self._of(inner, f"{at}/patternProperties/{_escaped(pattern)}")
            return f'{key} ": " {value}'
        if more is False:
            return ""
        value = self._of(more, f"{at}/additionalProperties")
        known = " | ".join(_literal(_quoted(each)) for each in named)
        key = self._rule(f"STRING & ~({known})", "K") if known else "STRING"
        return f'{key} ": " {value}'

    def _array(self, schema: Schema, at: str) -> str:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if "prefixItems" in schema:
            return self._tuple(schema, least, most, at)
        if most == 0:
            return self._rule('"[" "]"')
        item = self._of(schema.get("items", True), f"{at}/items")
        return self._rule(f'"[" {_times(item, least, most)} "]"')

    def _tuple(self, schema: Schema, least: int, most: int | None, at: str) -> str:
        given = cast("list[Any]", schema["prefixItems"])
        if schema.get("items", True) is not False or most is not None or least > len(given):
            raise _NotAsRules
        rest = self._rule('""')
        for place, inner in reversed([*enumerate(given)]):
            item = self._of(inner, f"{at}/prefixItems/{place}")
            item = f'", " {item}' if place else item
            rest = self._rule(f"{item} {rest}" if place < least else f"({item} {rest})?")
        return self._rule(f'"[" {rest} "]"')

    def _rule(self, says: str, kind: Literal["r", "K"] = "r") -> str:
        if says not in self._names:
            name = self._names[says] = f"{kind}{len(self._names)}"
            self._lines.append(f"{name}: {says}")
        return self._names[says]


def _string(schema: Schema) -> str | None:
    """Return what a string must match, with its quotes, where llguidance is not left to find it."""
    pattern = schema.get("pattern")
    if schema.get("type") != "string" or not isinstance(pattern, str):
        return None
    return None if schema.keys() & _OTHERS_OF_A_STRING else string_regex(pattern)


def _own(schema: Schema) -> Schema:
    """Return what a schema says of its type; what it says of other types says nothing."""
    idle = {key for keys in _OF_TYPE.values() for key in keys}
    own = {"type", *_OF_TYPE.get(str(schema.get("type")), ())}
    if schema.keys() - idle - own:
        raise _NotAsRules
    return {key: each for key, each in schema.items() if key in own}


def _times(item: str, least: int, most: int | None) -> str:
    """Return so many, with commas between them; ``most`` is not 0."""
    some = item
    if most != 1:
        last = None if most is None else most - 1
        some += f' (", " {item}){{{max(0, least - 1)},{_or_none(last)}}}'
    return some if least else f"({some})?"


def _or_none(count: int | None) -> str:
    return "" if count is None else str(count)


def _any_matches(pattern: str, names: Iterable[str]) -> bool:
    try:
        return any(re.search(pattern, each) for each in names)
    except re.error:
        raise _NotAsRules from None


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
