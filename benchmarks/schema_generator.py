"""JSON Schemas of our own, drawn by a seed: every string, array and recursion in them ends."""

import random
from collections.abc import Callable
from typing import Any, cast

from models.engine.grammar_limits import SUPPORTED_FORMATS
from models.engine.grammar_numbers import Schema
from models.engine.grammar_schema import places

_DEPTH = 3
_NAMES = (
    "id",
    "name",
    "city",
    "tags",
    "size",
    "a/b",
    "x y",
    "é",
    "kind",
    "value",
    "n",
    "__proto__",
)
_WORDS = ("red", "green", "", 'a"b', "back\\slash", "日本", "line\nend", "🙂", "0")
FORMATS = tuple(sorted(SUPPORTED_FORMATS))
_PATTERNS = (
    ("^[a-z]{2,8}$", None),
    ("^\\d{3}-\\d{4}$", None),
    ("^(foo|bar)[0-9]?$", None),
    ("[A-Z]", 12),
    ("^\\S+$", 9),
    ('^[^"\\\\]{1,5}$', None),
    ("\\.txt$", 20),
    ("^\\w{1,6}\\.(?:com|org)$", None),
    ("^[A-Fa-f0-9]{8}$", None),
    ("^(?:é|ß|[Ͱ-Ͽ]){1,4}$", None),
)


class Generator:
    """``used`` are the keywords that it has drawn so far, with how often."""

    def __init__(self, seed: int) -> None:
        self.used: dict[str, int] = {}
        self._random = random.Random(seed)
        self._definitions: dict[str, Schema] = {}

    def schema(self) -> Schema:
        self._definitions = {}
        drawn = self._object(_DEPTH) if self._chance(0.8) else self._any(_DEPTH)
        if self._definitions:
            key = self._random.choice(("$defs", "definitions"))
            drawn = _with_key(drawn, key) | {key: _with_key(self._definitions, key)}
        if self._chance(0.2):
            drawn = {"$schema": "https://json-schema.org/draft/2020-12/schema", **drawn}
        if self._chance(0.2):
            drawn |= {"title": "A thing", "description": "What it is for.", "x-order": 3}
        for _, inner in places(drawn):
            for key in inner:
                self.used[key] = self.used.get(key, 0) + 1
        return drawn

    def _any(self, depth: int) -> Schema:
        simple: list[Callable[[int], Schema]] = [
            self._string,
            self._number,
            self._integer,
            self._listed,
            lambda _: {"type": self._random.choice(("boolean", "null"))},
        ]
        compound: list[Callable[[int], Schema]] = [
            self._object,
            self._object,
            self._array,
            self._tuple,
            self._any_of,
            self._one_of,
            self._all_of,
            self._reference,
            self._several_types,
            self._chain,
        ]
        return self._random.choice(simple if depth <= 0 else simple + compound)(depth - 1)

    # -- Strings and numbers ---------------------------------------------------

    def _string(self, _: int) -> Schema:
        match self._random.randrange(3):
            case 0:
                least = self._random.randrange(4)
                drawn: Schema = {"type": "string", "maxLength": least + self._random.randrange(20)}
                return drawn | ({"minLength": least} if self._chance(0.5) else {})
            case 1:
                return {"type": "string", "format": self._random.choice(FORMATS)}
            case _:
                pattern, most = self._random.choice(_PATTERNS)
                return {"type": "string", "pattern": pattern} | (
                    {"maxLength": most} if most else {}
                )

    def _integer(self, _: int) -> Schema:
        drawn: Schema = {"type": "integer"}
        least = self._random.randrange(-1000, 1000)
        if self._chance(0.5):
            drawn[self._random.choice(("minimum", "exclusiveMinimum"))] = least
        if self._chance(0.5):
            most = least + self._random.randrange(30, 5000)
            drawn[self._random.choice(("maximum", "exclusiveMaximum"))] = most
        if self._chance(0.3):
            drawn["multipleOf"] = self._random.choice((2, 3, 7, 10))
        return drawn

    def _number(self, _: int) -> Schema:
        drawn: Schema = {"type": "number"}
        least = self._random.choice((-100.5, -1, 0, 0.25, 7))
        if self._chance(0.5):
            drawn[self._random.choice(("minimum", "exclusiveMinimum"))] = least
        if self._chance(0.5):
            drawn[self._random.choice(("maximum", "exclusiveMaximum"))] = least + 12.75
        if self._chance(0.3):
            drawn["multipleOf"] = self._random.choice((0.5, 0.25, 2))
        return drawn

    def _listed(self, _: int) -> Schema:
        values: list[Any] = [*_WORDS, 1, -2.5, True, None, {"a": [1, "b"]}, []]
        if self._chance(0.3):
            return {"const": self._random.choice(values)}
        drawn: Schema = {"enum": self._random.sample(values, self._random.randrange(1, 6))}
        if self._chance(0.3):
            return {"type": "string", "enum": self._random.sample(_WORDS, 3)}
        return drawn

    # -- Objects and arrays ----------------------------------------------------

    def _object(self, depth: int) -> Schema:
        names = self._random.sample(_NAMES, self._random.randrange(5))
        drawn: Schema = {
            "type": "object",
            "properties": {name: self._any(depth) for name in names},
            "additionalProperties": False,
        }
        required = [name for name in names if self._chance(0.6)]
        if required or self._chance(0.2):
            drawn["required"] = required
        if set(required) == set(names) and self._chance(0.3):
            drawn["maxProperties"] = len(names)
        elif self._chance(0.1):
            drawn["minProperties"] = len(required)
        elif self._chance(0.1):
            # Other names end too, as a pattern has it.
            drawn["patternProperties"] = {"^x-[a-z]{1,3}$": self._any(0)}
            drawn["required"] = names
            drawn["maxProperties"] = len(names) + 2
        return drawn

    def _array(self, depth: int) -> Schema:
        least = self._random.randrange(3)
        drawn: Schema = {
            "type": "array",
            "items": self._any(depth),
            "maxItems": least + self._random.randrange(4),
        }
        return drawn | ({"minItems": least} if self._chance(0.7) else {})

    def _tuple(self, depth: int) -> Schema:
        items = [self._any(depth) for _ in range(self._random.randrange(1, 4))]
        drawn: Schema = {"type": "array", "prefixItems": items, "items": False}
        return drawn | ({"minItems": len(items)} if self._chance(0.5) else {})

    # -- Several schemas -------------------------------------------------------

    def _any_of(self, depth: int) -> Schema:
        return {"anyOf": [self._any(depth) for _ in range(self._random.randrange(1, 4))]}

    def _one_of(self, depth: int) -> Schema:
        if self._chance(0.3):
            return {"oneOf": [{"const": each} for each in self._random.sample(_WORDS, 3)]}
        kinds: list[Callable[[int], Schema]] = [
            self._string,
            self._integer,
            self._array,
            lambda _: {"type": "null"},
        ]
        return {"oneOf": [kind(depth) for kind in self._random.sample(kinds, 2)]}

    def _all_of(self, depth: int) -> Schema:
        del depth
        whole = {"type": "integer", "minimum": self._random.randrange(10)}
        return {"allOf": [whole, {"maximum": self._random.randrange(20, 90)}]}

    def _reference(self, depth: int) -> Schema:
        name = f"d{len(self._definitions)}"
        self._definitions[name] = {}  # its place, before those that it has in itself
        self._definitions[name] = self._any(depth)
        return {"$ref": f"#/$defs/{name}"}

    def _several_types(self, _: int) -> Schema:
        return {"type": ["string", "null", "boolean"], "maxLength": 5}

    def _chain(self, _: int) -> Schema:
        """What refers to itself, and ends: each link but the last has one more."""
        first = len(self._definitions)
        for place in range(3):
            link: Schema = {"n": {"type": "integer", "minimum": 0, "maximum": 9}}
            if place:
                link["next"] = {
                    "anyOf": [{"$ref": f"#/$defs/d{first + place - 1}"}, {"type": "null"}]
                }
            self._definitions[f"d{first + place}"] = {
                "type": "object",
                "properties": link,
                "required": list(link),
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/d{first + 2}"}

    def _chance(self, share: float) -> bool:
        return self._random.random() < share


def _with_key(schema: Any, key: str) -> Any:  # noqa: ANN401  # JSON
    """The same, with its definitions under ``key``."""
    if isinstance(schema, dict):
        named = cast("Schema", schema)
        return {name: _with_key(inner, key) for name, inner in named.items()}
    if isinstance(schema, list):
        return [_with_key(inner, key) for inner in cast("list[Any]", schema)]
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return f"#/{key}/{schema.removeprefix('#/$defs/')}"
    return schema
