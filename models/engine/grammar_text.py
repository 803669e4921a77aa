"""The parameters of a tool one by one, and how their names and values are spelled in a grammar."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from models.engine.grammar import Tokens
from models.engine.grammar_numbers import Schema
from models.engine.grammar_rules import schema_rules
from models.engine.grammar_schema import prepared
from models.engine.typed_values import types_of
from models.errors import InvalidRequest

STRING, BOOLEAN = frozenset({"string"}), frozenset({"boolean"})
# Beside these, a schema may mean more than its properties.
_JOINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})
# Of strings: a text without quotes cannot be held to them.
_UNKEPT = ("pattern", "format", "const")


def json_rule(schema: Schema) -> str:
    """Return the body of a rule: JSON that matches a schema.

    Raises:
        InvalidRequest: it is known that it cannot be obeyed.
    """
    rules = schema_rules(prepared(schema)).removeprefix("body: ")
    return f"%lark {{\nstart: body\nbody: {rules}\n}}" if "\n" in rules else rules


# -- Parameters one by one -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: Schema
    types: frozenset[str]
    required: bool

    @classmethod
    def of(cls, name: str, schema: object, root: Mapping[str, Any]) -> "Parameter":
        definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
        whole = {**definitions, **cast("Schema", schema)} if isinstance(schema, dict) else {}
        required: Any = root.get("required", ())
        return cls(name, whole, types_of(whole, root), name in required)


def parameters_in(schema: Schema, root: Mapping[str, Any]) -> Iterator[Parameter]:
    """Raises InvalidRequest where a schema is more than a list of them."""
    if joined := sorted(_JOINED & schema.keys()):
        raise InvalidRequest(f"'{joined[0]}' cannot be kept to by this model's form of calls.")
    properties: Any = schema.get("properties") or {}
    required: Any = schema.get("required") or ()
    for name, each in properties.items():
        yield replace(Parameter.of(name, each, root), required=name in required)


def text_rule(parameter: Parameter | None, tag: str, tokens: Tokens, rule: str) -> tuple[str, str]:
    """Return a text with the tag that ends it, and the rules that they need.

    Raises:
        InvalidRequest: its schema asks for more than a length.
    """
    schema = parameter.schema if parameter else {}
    if parameter and (unkept := [each for each in _UNKEPT if each in schema]):
        raise InvalidRequest(
            f"'{unkept[0]}' of '{parameter.name}' cannot be kept to: "
            "this model writes strings without quotes."
        )
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    said = f"(?s:.{{{least},{most}}})" if least or most != "" else "(?s:.*)"
    if tag in tokens.tags:
        return f"{rule} {spelled(tag, tokens)}", f"{rule}: {rule.upper()}\n{rule.upper()}: /{said}/"
    return rule, f"{rule}[lazy]: /{said}\\n?{regex_of(tag)}/"


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def spelled(text: str, tokens: Tokens) -> str:
    """Return a text as Lark has it: what is a token by its id."""
    if not tokens.tags:
        return quoted(text) if text else ""
    parts = re.split(f"({'|'.join(map(re.escape, tokens.tags))})", text)
    return " ".join(
        f"<[{tokens.tags[part]}]>" if at % 2 else quoted(part)
        for at, part in enumerate(parts)
        if part
    )


def regex_of(text: str) -> str:
    return re.escape(text).replace("/", "\\/")
