"""What the arguments of a call may be, as the body of a rule: in JSON, or as a family writes them.

What a form cannot be held to is refused where it must be, with the name of the parameter.
"""

import json
from typing import cast

from models.chat import Tool
from models.engine.grammar import Tokens
from models.engine.grammar_numbers import Schema
from models.engine.grammar_pairs import PairRules
from models.engine.grammar_schema import as_json
from models.engine.grammar_text import (
    BOOLEAN,
    Parameter,
    json_rule,
    parameters_in,
    quoted,
    spelled,
    text_rule,
)
from models.markup import PLACES, CallForm, Calls

_ANY_JSON = as_json({"type": "object"})
# Beside these, a schema that is closed may mean something else.
_JOINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})


def arguments_of(tool: Tool, row: Calls, tokens: Tokens) -> str:
    """Return what the arguments of a tool must be, as the body of a rule.

    Raises:
        InvalidRequest: it is known that its schema cannot be obeyed, or not in the row's form.
    """
    schema: Schema = {**(tool.kept_to or tool.parameters or {})}
    if row.form is CallForm.XML:
        return _xml(schema, row, tokens)
    if row.form in (CallForm.PYTHON, CallForm.GEMMA):
        return PairRules(row, tokens).body(schema)
    return json_rule(_closed({"type": "object", "properties": {}, **schema}))


def _closed(schema: Schema) -> Schema:
    """A function takes the parameters that it names, and so do objects in them that name some."""
    if _JOINED & schema.keys():
        return schema
    made = {**schema}
    if isinstance(properties := made.get("properties"), dict):
        made.setdefault("additionalProperties", False)
        named = cast("Schema", properties).items()
        made["properties"] = {name: _closed_inside(each) for name, each in named}
    if "items" in made:
        made["items"] = _closed_inside(made["items"])
    return made


def _closed_inside(schema: object) -> object:
    return _closed(cast("Schema", schema)) if isinstance(schema, dict) else schema


def any_arguments_of(row: Calls, tokens: Tokens) -> str:
    """Return what stands for a schema that cannot be obeyed."""
    if row.form is CallForm.XML:
        parameter = _xml_parameter(row, tokens, "KEY", None, '("true" | "false")')
        return f"%lark {{\nstart: parameter*\nparameter: {parameter[0]}\n{_XML_RULES}" + "\n".join(
            ['KEY: /[^<>"\\n]+/', *parameter[1:], "}"]
        )
    if row.form in (CallForm.PYTHON, CallForm.GEMMA):
        end = ")" if row.form is CallForm.PYTHON else "}"
        return f"/[^{end}]*/"
    return _ANY_JSON


# -- Between tags ----------------------------------------------------------------------

_XML_RULES = "TEXT: /(?s:.*)/\nNL: /\\n?/\n"


def _xml(schema: Schema, row: Calls, tokens: Tokens) -> str:
    rules: list[str] = []
    order: list[str] = []
    for place, each in enumerate(parameters_in(schema, schema)):
        order.append(f"p{place}" if each.required else f"p{place}?")
        first, *more = _xml_parameter(row, tokens, quoted(each.name), each, "", place)
        rules += [f"p{place}: {first}", *more]
    start = " ".join(order) or '""'
    return f"%lark {{\nstart: {start}\n{_XML_RULES}" + "\n".join([*rules, "}"])


def _xml_parameter(
    row: Calls, tokens: Tokens, key: str, parameter: Parameter | None, string: str, place: int = 0
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


def _xml_value(parameter: Parameter | None, tag: str, tokens: Tokens, rule: str) -> tuple[str, ...]:
    """Return a value with the tag that ends it, and the rules that they need."""
    end = f"NL {spelled(tag, tokens)}"
    types = parameter.types if parameter else frozenset[str]()
    schema = parameter.schema if parameter else {}
    if parameter and "enum" in schema and types <= {"string"}:
        return f"({' | '.join(quoted(each) for each in schema['enum'])}) {end}", ""
    if types == BOOLEAN and "enum" not in schema:
        return f'("true" | "false" | "True" | "False") {end}', ""
    if types and "string" not in types:
        return f"{rule} {end}", f"{rule}: {json_rule(schema)}"
    return text_rule(parameter, tag, tokens, rule)


def lines(text: str, tokens: Tokens) -> str:
    """A text in which line ends may be missing."""
    return " NL ".join(spelled(each, tokens) for each in text.split("\n"))
