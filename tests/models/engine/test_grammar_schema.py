"""A JSON Schema as llguidance is given it: what has no end gets one, what is idle is left out."""

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from models.chat import JsonSchema
from models.engine.grammar import Tokens
from models.engine.grammar_formats import PATTERNS
from models.engine.grammar_lark import compile_constraint
from models.engine.grammar_limits import SUPPORTED_FORMATS
from models.engine.grammar_process import GrammarChecker
from models.engine.grammar_schema import places, prepared


@pytest.fixture(scope="module")
def checker() -> Iterator[GrammarChecker]:
    checker = GrammarChecker()
    yield checker
    checker.close()


def fits(checker: GrammarChecker, schema: dict[str, Any], answer: str) -> bool:
    grammar = compile_constraint(JsonSchema(schema), Tokens((2,)))
    assert checker.check(grammar) == ""
    return checker.matches(grammar, answer)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "integer"}, ["-9007199254740991", "12"], ["9007199254740992", "1" * 30]),
        ({"type": "integer", "minimum": 10**17}, ["100000000000000000"], ["5"]),
        ({"type": "number"}, ["1.123456789", "-5.5", "0"], ["1.1234567891", "1e3", "1" * 20]),
        ({"type": "number", "minimum": -1, "maximum": 1}, ["-0.5", "0.25", "1"], ["-2", "1.5"]),
        ({"type": "number", "maximum": -7.25}, ["-7.25", "-100"], ["-7", "7.25"]),
        ({"type": ["number", "null"]}, ["null", "2.5"], ['"2"']),
        ({"type": "integer", "enum": [10**16]}, ["1" + "0" * 16], ["1"]),
        ({"type": "string", "format": "int32"}, ['"anything"'], ["1"]),
        ({"type": "string", "format": "duration"}, ['"P1DT2H"'], ['"P"', f'"P{"5" * 40}D"']),
        (
            {"type": "string", "format": "uri"},
            ['"https://a.example:80/b/c?d=%20#e"', '"mailto:a@b.example"', '"urn:isbn:1"'],
            ['"//a"', '"a b:c"', '"https:"', '"x://a/%2"', '"/a"'],
        ),
        ({"format": "date", "pattern": "^2"}, ['"2024-02-29"'], ['"1999-01-01"', '"2023-02-29"']),
        ({"oneOf": [{"const": 1}, {"enum": [2, 3]}]}, ["1", "3"], ["4"]),
        ({"uniqueItems": False, "not": False, "title": "x", "x-y": 1}, ["1"], []),
        (
            {"type": "object", "required": ["a", "b"], "minProperties": 2},
            ['{"a": 1, "b": 2}'],
            ["{}"],
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": False, "maxProperties": 3},
            ["{}", '{"a": 1}'],
            ['{"b": 1}'],
        ),
        ({"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}, ["[[], []]"], []),
    ],
)
def test_what_is_obeyed_is_what_was_asked_for(
    checker: GrammarChecker, schema: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    assert [each for each in right if not fits(checker, schema, each)] == []
    assert [each for each in wrong if fits(checker, schema, each)] == []


@pytest.mark.parametrize("form", sorted(SUPPORTED_FORMATS))
def test_a_format_that_is_said_to_be_supported_is(checker: GrammarChecker, form: str) -> None:
    assert not fits(checker, {"type": "string", "format": form}, '"?"')


def test_a_date_is_one_of_the_calendar() -> None:
    days = {(date(1999, 1, 1) + timedelta(days=place)).isoformat() for place in range(36_900)}
    ours = re.compile(PATTERNS["date"])
    some = [
        f"{year}-{month:02}-{day:02}"
        for year in range(1999, 2100)
        for month in range(14)
        for day in range(33)
    ]
    assert [each for each in some if (each in days) != bool(ours.match(each))] == []
    assert not ours.match("0000-01-01")


def test_a_schema_that_is_given_stays_as_it_was() -> None:
    schema = {"oneOf": [{"const": 1}], "allOf": [{"type": "number"}], "title": "x"}
    before = json.dumps(schema)
    prepared(schema)
    assert json.dumps(schema) == before


def test_places_are_told_from_the_inside_out() -> None:
    schema = {"properties": {"a~/b": {"items": {"type": "null"}}}, "anyOf": [{}]}
    found = [at for at, _ in places(schema)]
    assert found == ["/properties/a~0~1b/items", "/properties/a~0~1b", "/anyOf/0", ""]


@pytest.mark.parametrize("form", [[], {}, 5, True])
def test_a_format_that_is_no_text_is_the_callers_fault(checker: GrammarChecker, form: Any) -> None:
    grammar = compile_constraint(JsonSchema({"type": "string", "format": form}), Tokens((2,)))

    assert checker.check(grammar) != ""
