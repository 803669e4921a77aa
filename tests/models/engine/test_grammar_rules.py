"""A schema as Lark rules: what is right by them is right by the schema, and nothing has no end."""

from collections.abc import Iterator
from typing import Any

import pytest

from models.chat import JsonSchema
from models.engine.grammar import Tokens
from models.engine.grammar_lark import compile_constraint
from models.engine.grammar_process import GrammarChecker
from models.errors import InvalidRequest

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
LINK: Schema = {
    "type": "object",
    "properties": {"n": NUMBER, "next": {"anyOf": [{"$ref": "#/$defs/a~1b"}, {"type": "null"}]}},
    "required": ["n", "next"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def checker() -> Iterator[GrammarChecker]:
    checker = GrammarChecker()
    yield checker
    checker.close()


def closed(properties: Schema, *required: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def an_array(**more: Any) -> Schema:
    return {"type": "array", "items": NUMBER, **more}


def test_numbers_below_0_are_a_sign_and_a_number() -> None:
    lark = compile_constraint(JsonSchema(closed({"x": NUMBER}, "x")), Tokens((2,))).lark
    assert '"-" r' in lark


def test_a_schema_without_them_is_left_to_llguidance() -> None:
    schema = closed({"x": {"type": "integer"}, "y": {"type": "number", "minimum": 0}})
    lark = compile_constraint(JsonSchema(schema), Tokens((2,))).lark
    assert lark.count("%json") == 1


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (NUMBER, ["-0.123456789", "-7", "0", "3.5"], ["-0.1234567891", "-1e3", "--1", "- 1"]),
        ({"type": "number", "minimum": -1, "maximum": 1}, ["-1", "-0.5", "1"], ["-1.1", "1.1"]),
        ({"type": "number", "exclusiveMinimum": -1, "maximum": 0}, ["-0.9", "0"], ["-1", "0.5"]),
        ({"type": "number", "minimum": -3, "exclusiveMaximum": -1}, ["-3", "-1.1"], ["-1", "0"]),
        ({"type": "number", "multipleOf": 0.25, "minimum": -1}, ["-0.75", "0.50"], ["-0.3"]),
        ({"type": "integer", "multipleOf": 7}, ["-14", "0", "21"], ["-15", "-14.0"]),
        ({"type": "integer", "multipleOf": 7, "maximum": -1}, ["-7"], ["0", "7", "-1"]),
        ({"type": "integer", "multipleOf": 2, "minimum": -1, "maximum": 4}, ["0", "2"], ["-1"]),
        ({"type": ["number", "null", "string"], "maxLength": 2}, ["-1.5", "null"], ['"abc"']),
        (
            {"type": "string", "pattern": r"^a\n[^x/]$"},
            [r'"a\nb"', r'"a\n\""', r'"a\n\\"', r'"a\n\t"', '"a\\né"'],
            [r'"a\nx"', r'"a\n/"', r'"a\n"', '"a\nb"', r'"a\u000ab"', r'"a\nbb"'],
        ),
        (
            {"type": "string", "pattern": r'^(?i:\tK\x01)(?s:.)[\w"]{2}(?:"|\\)$'},
            [r'"\tk\u0001\n\"ü\\"', r'"\tK\u0001 ab\""'],
            [r'"\Tk\u0001 ab\""', r'"\tk\u0001 a-\""', r'"\tk\u0001 abc"'],
        ),
        (
            closed({"p": {"type": "string", "pattern": "^[^/]+/$"}}, "p"),
            ['{"p": "a\\"/"}', '{"p": "b\\n/"}'],
            ['{"p": "a"}', '{"p": "/"}', '{"p": "a/b/"}', '{"p": a/}'],
        ),
        (closed({"a": NUMBER, "b": NUMBER}), ["{}", '{"b": -1}', '{"a": 1, "b": 2}'], ['{"c": 1}']),
        (
            closed({"a": NUMBER, "é\n": NUMBER, "c": NUMBER}, "é\n"),
            ['{"é\\n": -1}', '{"a": 1, "é\\n": 2, "c": 3}', '{"é\\n": 2, "c": 3}'],
            ["{}", '{"a": 1}', '{"c": 3, "é\\n": 2}', '{, "é\\n": 1}'],
        ),
        (
            {"type": "object", "properties": {"a": NUMBER}, "required": ["a"]},
            ['{"a": -1}', '{"a": -1, "b": [], "c": "-"}'],
            ['{"b": 1}', '{"a": 1, "a": "x"}', '{"a": 1, "\\u0061": "x"}'],
        ),
        (
            {"type": "object", "additionalProperties": NUMBER},
            ["{}", '{"b": -1}', '{"b": 1, "c": -2}'],
            ['{"b": "x"}'],
        ),
        (
            {**closed({"a": NUMBER}, "a"), "patternProperties": {"^x": NUMBER}, "maxProperties": 2},
            ['{"a": -1}', '{"a": -1, "x": -2}'],
            ['{"x": 1}', '{"a": 1, "x": 2, "xx": 3}', '{"a": 1, "b": 2}'],
        ),
        (an_array(), ["[]", "[-1]", "[1, -2, 3]"], ["[1,2]", "[1, ]"]),
        (an_array(minItems=2, maxItems=3), ["[1, 2]", "[-1, -2, -3]"], ["[1]", "[1, 2, 3, 4]"]),
        (an_array(maxItems=1), ["[]", "[-1]"], ["[1, 2]"]),
        (an_array(maxItems=0), ["[]"], ["[1]"]),
        (an_array(minItems=1, maxItems=1), ["[-1]"], ["[]"]),
        (an_array(minItems=2), ["[1, 2]", "[1, 2, 3]"], ["[1]"]),
        (
            {"type": "array", "prefixItems": [NUMBER, {"const": "a"}], "items": False},
            ["[]", "[-1]", '[-1, "a"]'],
            ['["a"]', '[1, "a", 1]'],
        ),
        (
            {"type": "array", "prefixItems": [NUMBER] * 3, "items": False, "minItems": 2},
            ["[1, -2]", "[1, 2, 3]"],
            ["[1]", "[1, 2, 3, 4]"],
        ),
        ({"anyOf": [NUMBER, {"const": "a"}]}, ["-1", '"a"'], ["null"]),
        ({"oneOf": [NUMBER, {"type": "null"}]}, ["-1.5", "null"], ['"a"']),
        (
            {"$defs": {"a/b": LINK}, "$ref": "#/$defs/a~1b"},
            ['{"n": -1.5, "next": {"n": 1, "next": null}}'],
            ['{"n": -1.5}'],
        ),
        (
            {"allOf": [NUMBER, {"maximum": 5}]},  # on top of one another: left to llguidance
            ["-1", "5"],
            ["6"],
        ),
    ],
)
def test_rules_say_what_the_schema_says(
    checker: GrammarChecker, schema: Schema, right: list[str], wrong: list[str]
) -> None:
    grammar = compile_constraint(JsonSchema(schema), Tokens((2,)))
    assert checker.check(grammar) == ""
    assert [each for each in right if not checker.matches(grammar, each)] == []
    assert [each for each in wrong if checker.matches(grammar, each)] == []


@pytest.mark.parametrize("count", [300, 600])
def test_a_large_schema_is_ready_in_time(checker: GrammarChecker, count: int) -> None:
    properties = {f"name{place}": {**NUMBER, "minimum": -place - 1} for place in range(count)}
    schema = closed(properties, *properties)
    assert checker.check(compile_constraint(JsonSchema(schema), Tokens((2,)))) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"required": 5},
        {"required": [[]]},
        {"properties": [1]},
        {"$ref": ["x"]},
        {"maxProperties": "x"},
        {"patternProperties": {"(": NUMBER}},
        {"additionalProperties": 5},
        {"allOf": 5},
        {"anyOf": {"a": 1}},
        {"type": [["number"]]},
    ],
)
def test_what_is_no_schema_is_refused_in_words(checker: GrammarChecker, wrong: Schema) -> None:
    schema = {"type": "object", "properties": {"x": NUMBER}, "prefixItems": [NUMBER], **wrong}
    for each in (schema, {"type": "array", "items": schema}, {"anyOf": [schema, NUMBER]}):
        assert checker.check(compile_constraint(JsonSchema(each), Tokens((2,))))


def test_definitions_that_name_one_another_a_thousand_times_are_read(
    checker: GrammarChecker,
) -> None:
    links = {f"d{place}": {"$ref": f"#/$defs/d{place + 1}"} for place in range(1000)}
    schema = {"$defs": {**links, "d1000": NUMBER}, "$ref": "#/$defs/d0"}
    checker.check(compile_constraint(JsonSchema(schema), Tokens((2,))))


def test_multiples_below_0_where_schemas_are_joined_are_refused_with_their_place() -> None:
    schema = {"allOf": [{"type": "integer", "maximum": -1, "multipleOf": 3}, {"minimum": -99}]}
    with pytest.raises(InvalidRequest, match="at /allOf/0: 'multipleOf' is not supported"):
        compile_constraint(JsonSchema(schema), Tokens((2,)))
