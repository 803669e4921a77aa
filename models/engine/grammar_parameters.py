"""What the arguments of a call may be, as the body of a rule: in JSON, or as a family writes them.

What a form cannot be held to is refused where it must be, with the name of the parameter.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.chat import Tool
from models.engine.grammar import Tokens
from models.engine.grammar_numbers import Schema
from models.engine.grammar_rules import schema_rules
from models.engine.grammar_schema import as_json, prepared
from models.engine.typed_values import types_of
from models.errors import InvalidRequest
from models.markup import PLACES, CallForm, Calls

_ANY_JSON = as_json({"type": "object"})
# Beside these, a schema that is closed may mean something else.
_JOINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})
# Of strings: a text without quotes cannot be held to them.
_UNKEPT = ("pattern", "format", "const")


def arguments_of(tool: Tool, row: Calls, tokens: Tokens) -> str:
    """Return what the arguments of a tool must be, as the body of a rule.

    Raises:
        InvalidRequest: it is known that its schema cannot be obeyed, or not in the row's form.
    """
    if row.form is CallForm.XML:
        return _xml(tool, row, tokens)
    schema: Schema = {"type": "object", **(tool.parameters or {})}
    if not _JOINED & schema.keys():  # a function takes the parameters that it names
        schema.setdefault("additionalProperties", False)
    return _json(schema)


def any_arguments_of(row: Calls, tokens: Tokens) -> str:
    """Return what stands for a schema that cannot be obeyed."""
    if row.form is CallForm.XML:
        parameter = _xml_parameter(row, tokens, "KEY", None, '("true" | "false")')
        return f"%lark {{\nstart: parameter*\nparameter: {parameter[0]}\n{_XML_RULES}" + "\n".join(
            ['KEY: /[^<>"\\n]+/', *parameter[1:], "}"]
        )
    return _ANY_JSON


def _json(schema: Schema) -> str:
    rules = schema_rules(prepared(schema)).removeprefix("body: ")
    return f"%lark {{\nstart: body\nbody: {rules}\n}}" if "\n" in rules else rules


# -- Parameters one by one -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    schema: Schema
    types: frozenset[str]
    required: bool


def _parameters(tool: Tool) -> Iterator[_Parameter]:
    """Raises InvalidRequest where a schema is more than a list of them."""
    root: Any = tool.parameters or {}
    if joined := sorted(_JOINED & root.keys()):
        raise InvalidRequest(f"'{joined[0]}' cannot be kept to by this model's form of calls.")
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    properties: Any = root.get("properties") or {}
    for name, schema in properties.items():
        whole = {**definitions, **schema} if isinstance(schema, dict) else {}
        yield _Parameter(name, whole, types_of(schema, root), name in root.get("required", ()))


# -- Between tags ----------------------------------------------------------------------

_XML_RULES = "TEXT: /(?s:.*)/\nNL: /\\n?/\n"


def _xml(tool: Tool, row: Calls, tokens: Tokens) -> str:
    rules: list[str] = []
    order: list[str] = []
    for place, each in enumerate(_parameters(tool)):
        order.append(f"p{place}" if each.required else f"p{place}?")
        first, *more = _xml_parameter(row, tokens, _quoted(each.name), each, "", place)
        rules += [f"p{place}: {first}", *more]
    start = " ".join(order) or '""'
    return f"%lark {{\nstart: {start}\n{_XML_RULES}" + "\n".join([*rules, "}"])


def _xml_parameter(
    row: Calls, tokens: Tokens, key: str, parameter: _Parameter | None, string: str, place: int = 0
) -> list[str]:
    """Return the body of the rule of one, and the rules that it needs."""
    before, _, end = row.parameter.partition("{value}")
    tag = end.strip()
    after = lines(end[end.index(tag) + len(tag) :], tokens)
    value, *more = _xml_value(parameter, tag, tokens, f"v{place}")
    is_text = parameter is None or "string" in parameter.types or not parameter.types
    kind = string or json.dumps("true" if is_text else "false")
    head = "".join(
        f" {key if part == 'key' else kind} " if at % 2 else lines(part, tokens)
        for at, part in enumerate(PLACES.split(before))
    )
    return [f"{head} {value} {after}", *more]


def _xml_value(
    parameter: _Parameter | None, tag: str, tokens: Tokens, rule: str
) -> tuple[str, ...]:
    """Return a value with the tag that ends it, and the rules that they need."""
    end = f"NL {spelled(tag, tokens)}"
    types = parameter.types if parameter else frozenset[str]()
    schema = parameter.schema if parameter else {}
    if parameter and "enum" in schema and types <= {"string"}:
        return f"({' | '.join(_quoted(each) for each in schema['enum'])}) {end}", ""
    if types == {"boolean"} and "enum" not in schema:
        return f'("true" | "false" | "True" | "False") {end}', ""
    if types and "string" not in types:
        return f"{rule} {end}", f"{rule}: {_json(schema)}"
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


def lines(text: str, tokens: Tokens) -> str:
    """A text in which line ends may be missing."""
    return " NL ".join(spelled(each, tokens) for each in text.split("\n"))


# -- Texts -----------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def spelled(text: str, tokens: Tokens) -> str:
    """Return a text as Lark has it: what is a token by its id."""
    if not tokens.tags:
        return _quoted(text) if text else ""
    parts = re.split(f"({'|'.join(map(re.escape, tokens.tags))})", text)
    return " ".join(
        f"<[{tokens.tags[part]}]>" if at % 2 else _quoted(part)
        for at, part in enumerate(parts)
        if part
    )


def regex_of(text: str) -> str:
    return re.escape(text).replace("/", "\\/")
