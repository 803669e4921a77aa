"""Arguments as pairs between brackets, as the body of a rule: Python's and Gemma's.

start: first0                       first0: p0 rest1
rest1: "," p1 rest2 | rest2         (p1 may be missing)
"""

from collections.abc import Mapping
from typing import Any, cast

from models.engine.grammar import Tokens
from models.engine.grammar_numbers import Schema
from models.engine.grammar_text import (
    BOOLEAN,
    STRING,
    Parameter,
    json_rule,
    parameters_in,
    quoted,
    spelled,
    text_rule,
)
from models.errors import InvalidRequest
from models.markup import CallForm, Calls

_DEEPEST = 6  # objects in objects
_SCALARS = frozenset({"integer", "number", "boolean", "null"})
_PYTHON_WORDS = '("True" | "False")'


class PairRules:
    """Writes the rules of one tool's arguments."""

    def __init__(self, row: Calls, tokens: Tokens) -> None:
        self._row = row
        self._tokens = tokens
        self._rules: list[str] = []
        before, _, behind = row.parameter.partition("{value}")
        self._is = before.partition("{key}")[2].removesuffix(behind)  # between key and value
        self._quote = behind
        self._python = row.form is CallForm.PYTHON
        self._comma = '", "' if self._python else '","'

    def body(self, schema: Schema) -> str:
        """Return the body of a rule. Raises InvalidRequest where the form cannot be held to it."""
        start = self._object(schema, schema, "x", _DEEPEST)
        return f"%lark {{\nstart: {start}\nNL: /\\n?/\n" + "\n".join([*self._rules, "}"])

    def _object(self, schema: Schema, root: Mapping[str, Any], rule: str, deepest: int) -> str:
        found = list(parameters_in(schema, root))
        if not self._python:  # Gemma has been taught to sort them, by its template
            found.sort(key=lambda each: each.name.lower())
        for place, each in enumerate(found):
            value = self._value(each, root, f"{rule}v{place}", deepest)
            self._rules.append(
                f"{rule}p{place}: {spelled(each.name + self._is, self._tokens)} {value}"
            )
        for place, each in reversed([*enumerate(found)]):
            one = f"{rule}p{place} {rule}rest{place + 1}"
            more = "" if each.required else f" | {rule}first{place + 1}"
            self._rules.append(f"{rule}first{place}: {one}{more}")
            more = "" if each.required else f" | {rule}rest{place + 1}"
            self._rules.append(f"{rule}rest{place}: {self._comma} {one}{more}")
        self._rules += [f'{rule}{kind}{len(found)}: ""' for kind in ("first", "rest")]
        return f"{rule}first0"

    def _value(self, each: Parameter, root: Mapping[str, Any], rule: str, deepest: int) -> str:
        types, schema = each.types, each.schema
        if self._python:
            if types == BOOLEAN and "enum" not in schema:
                return _PYTHON_WORDS
            self._rules.append(f"{rule}: {json_rule(schema)}")
            return rule
        if types and types <= _SCALARS:
            self._rules.append(f"{rule}: {json_rule(schema)}")
            return rule
        quote = spelled(self._quote, self._tokens)
        if types == STRING and "enum" in schema:
            return f"{quote} ({' | '.join(map(quoted, schema['enum']))}) {quote}"
        if types == STRING:
            value, rules = text_rule(each, self._quote, self._tokens, rule)
            self._rules.append(rules)
            return f"{quote} {value}"
        items: Any = schema.get("items")
        properties: Any = schema.get("properties")
        if types == frozenset({"array"}) and isinstance(items, dict) and deepest:
            inner = Parameter.of(each.name, cast("Schema", items), root)
            self._rules.append(f"{rule}i: {self._value(inner, root, f'{rule}w', deepest - 1)}")
            return f'"[" ({rule}i ("," {rule}i)*)? "]"'
        if types == frozenset({"object"}) and isinstance(properties, dict) and deepest:
            return f'"{{" {self._object(schema, root, f"{rule}o", deepest - 1)} "}}"'
        raise InvalidRequest(
            f"'{each.name}' cannot be kept to: this model does not write it as JSON, and its "
            "schema does not say in full what it is."
        )
