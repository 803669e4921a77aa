"""What an answer must look like: built, checked by llguidance itself, or refused in a sentence."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models.chat import Constraint, GenerateRequest, Grammar, JsonObject, JsonSchema, SamplingParams
from models.engine import grammar_process
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_lark import compile_constraint
from models.engine.grammar_maker import GrammarMaker, find_tokens
from models.engine.grammar_process import GrammarChecker
from models.errors import InferenceError, InvalidRequest
from tests.fakes import ByteTokenizer

TOKENS = Tokens(end=(0, 2), think_start=3, think_end=4, think_end_text="</think>")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["name", "size"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def maker() -> Iterator[GrammarMaker]:
    maker = GrammarMaker(lambda: TOKENS)
    yield maker
    maker.close()


def made(
    maker: GrammarMaker, constraint: Constraint, prompt: tuple[int, ...] = (7, 8), **changes: Any
) -> CompiledGrammar:
    request = GenerateRequest(model="x", prompt="Hi", constraint=constraint, **changes)
    grammar = maker.make(request, prompt)
    assert grammar
    return grammar


def refusal(maker: GrammarMaker, constraint: Constraint, **changes: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        made(maker, constraint, **changes)
    return str(caught.value)


# -- What matches ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        (JsonObject(), ['{"a": [1, {"b": null}]}', "{}"], ["[1]", '{"a": 1', '{"a" : 1}', " {}"]),
        (
            JsonSchema(SCHEMA),
            ['{"name": "x", "size": 3}'],
            ['{"name": "x"}', '{"name":1,"size":2}'],
        ),
        (JsonSchema({}), ["3", '"x"', "[true, null]"], ["x"]),
        (Grammar("[0-9]+/a|b", "regex"), ["12/a", "b"], ["12", "ab", "12/ab"]),
        (Grammar("^a/$", "regex"), ["a/"], ["a"]),
        (Grammar("a\nb", "regex"), ["a\nb"], ["ab"]),
        (Grammar('start: "{" x\nx: /[0-9]+/ // }', "lark"), ["{12"], ["{", "12"]),
        (Grammar('root ::= ("yes" | "no") "!"{1,2}', "gbnf"), ["yes!", "no!!"], ["yes", "no!!!"]),
    ],
)
def test_an_answer_is_what_was_asked_for_or_it_is_not(
    maker: GrammarMaker, constraint: Constraint, right: list[str], wrong: list[str]
) -> None:
    grammar = made(maker, constraint)

    assert [each for each in right if not maker.matches(grammar, each)] == []
    assert [each for each in wrong if maker.matches(grammar, each)] == []


def test_every_token_that_ends_a_turn_is_named_by_its_id(maker: GrammarMaker) -> None:
    assert made(maker, JsonObject()).lark.endswith("end: <[0]> | <[2]>")


def test_an_answer_follows_the_thought_that_the_prompt_has_begun(maker: GrammarMaker) -> None:
    grammar = made(maker, JsonObject(), (7, 3, 9))

    assert grammar.trigger == 4
    assert "THOUGHT <[4]> GAP body end" in grammar.lark
    assert "THOUGHT" not in grammar.tail
    assert maker.matches(grammar, 'Well {"no": </think>\n\n{"a": 1}')
    assert not maker.matches(grammar, 'Well</think>\n\n{"a" 1}')


def test_a_thought_that_has_ended_is_over(maker: GrammarMaker) -> None:
    assert made(maker, JsonObject(), (3, 4, 9)).trigger is None


def test_a_model_that_is_asked_to_think_may_answer_at_once(maker: GrammarMaker) -> None:
    grammar = made(maker, JsonObject(), thinking=True)

    assert "(<[3]> THOUGHT <[4]> GAP)? body" in grammar.lark
    assert maker.matches(grammar, "<think>Hm.</think>{}")
    assert maker.matches(grammar, "{}")


def test_a_request_without_a_constraint_starts_nothing() -> None:
    maker = GrammarMaker(lambda: pytest.fail("nobody asked"))
    assert maker.make(GenerateRequest(model="x", prompt="Hi"), (1,)) is None
    maker.close()


# -- What is refused ---------------------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


def properties(count: int, prefix: str = "p") -> dict[str, Any]:
    return {"type": "object", "properties": {f"{prefix}{place}": {} for place in range(count)}}


@pytest.mark.parametrize(
    ("schema", "place", "why"),
    [
        ({"properties": {"x": {"uniqueItems": True}}}, "/properties/x", "keyword 'uniqueItems'"),
        ({"items": {"anyOf": [{}, {"not": {}}]}}, "/items/anyOf/1", "keyword 'not'"),
        ({"properties": {"a/b": {"format": "iri"}}}, "/properties/a~1b", "format 'iri'"),
        ({"properties": {"a": {"$ref": "http://x/y"}}}, "/properties/a", "another document"),
        ({"$ref": "#/$defs/q"}, "/", "'/$defs/q' does not exist"),
        ({"items": {"type": "foo"}}, "/items", "Invalid type: foo"),
        ({"items": {"pattern": "(?=a)"}}, "/items", "look-around"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "/", "minLength (3)"),
        ({"enum": []}, "/", "Unsatisfiable"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/", "'oneOf' is supported only"),
        ({"maximum": -1, "multipleOf": 2}, "/", "'multipleOf' is not supported"),
        ({"minProperties": 2}, "/", "'minProperties' above 1 is supported only"),
    ],
)
def test_a_schema_that_cannot_be_obeyed_is_refused_with_its_place(
    maker: GrammarMaker, schema: dict[str, Any], place: str, why: str
) -> None:
    said = refusal(maker, JsonSchema(schema))
    assert said.startswith(f"The schema cannot be obeyed: at {place}: ")
    assert why in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("constraint", "why"),
    [
        (JsonSchema(nested(100)), "more than 60 levels"),
        (JsonSchema(nested(3000)), "more than 60 levels"),
        (JsonSchema({"enum": list(range(20_000))}), "20,000 values in one enumeration"),
        (JsonSchema(properties(500)), "500 optional properties"),
        (JsonSchema({"anyOf": [properties(1)] * 1001}), "1,001 alternatives"),
        (JsonSchema({"title": "x" * 300_000}), "bytes"),
        (JsonSchema({"type": "array", "maxItems": 10**9}), "1,000,000,000 repetitions"),
        (JsonSchema({"anyOf": [properties(300, each) for each in "abcdefghij"]}), "Current row"),
        (Grammar("a" * 70_000, "regex"), "70,000 bytes"),
        (Grammar("[a", "regex"), "unclosed character class"),
        (Grammar('start: "a" x\n\nx: y', "lark"), "line 3: unknown name"),
        (Grammar("start: " + "(" * 10_000, "lark"), "nested"),
        (Grammar('start: "a"\n}\nx: "b"', "lark"), "line 4"),
        (Grammar("root ::= " + "(" * 1_000_000, "gbnf"), "1,000,009 bytes"),
        (Grammar("root ::= " + "(" * 10_000, "gbnf"), "61 levels"),
        (Grammar("root ::= " + "|".join(['"a"'] * 16_000), "gbnf"), "1,001 alternatives"),
    ],
)
def test_what_explodes_is_refused_at_once(
    maker: GrammarMaker, constraint: Constraint, why: str
) -> None:
    began = time.monotonic()
    assert why in refusal(maker, constraint)
    assert time.monotonic() - began < 5


def test_who_wants_no_end_cannot_have_a_form(maker: GrammarMaker) -> None:
    sampling = SamplingParams(ignore_eos=True)
    assert "'ignore_eos'" in refusal(maker, JsonObject(), sampling=sampling)


# -- The process that checks -------------------------------------------------------

HANGS = (
    sys.executable,
    "-c",
    "import sys, time\n"
    "sys.stdin.readline(); print('{}', flush=True)\n"
    "line = sys.stdin.readline()\n"
    "while 'HANG' in line: time.sleep(1)\n"
    "print('{}', flush=True); sys.stdin.readline()",
)


def test_a_grammar_that_takes_too_long_is_refused_and_the_next_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grammar_process, "SECONDS_TO_CHECK", 0.5)
    checker = GrammarChecker(HANGS)

    with pytest.raises(InvalidRequest, match="too complex"):
        checker.check(CompiledGrammar("HANG"))

    assert checker.check(CompiledGrammar("fine")) == ""
    checker.close()


def test_a_checker_whose_process_was_killed_has_another() -> None:
    checker = GrammarChecker()
    grammar = compile_constraint(JsonObject(), TOKENS)
    assert checker.check(grammar) == ""
    assert checker._child
    checker._child.kill()

    with pytest.raises(InferenceError):
        checker.matches(grammar, "{}")

    assert checker.matches(grammar, "{}")
    checker.close()


def test_who_waits_for_a_checker_that_closes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_process, "SECONDS_TO_CHECK", 30.0)
    checker = GrammarChecker(HANGS)
    closing = threading.Timer(0.5, checker.close)
    closing.start()

    with pytest.raises(InvalidRequest):
        checker.check(CompiledGrammar("HANG"))

    closing.join()
    with pytest.raises(InvalidRequest):
        checker.check(CompiledGrammar("fine"))


# -- Special tokens ----------------------------------------------------------------


class MarkTokenizer(ByteTokenizer):
    """Knows a few marks as tokens of their own."""

    def __init__(self, **marks: int) -> None:
        super().__init__()
        self._marks = marks

    def encode(self, text: str) -> list[int]:
        return [self._marks[text]] if text in self._marks else super().encode(text)


def test_what_ends_a_turn_is_found_by_its_names() -> None:
    tokenizer = MarkTokenizer(**{"<|im_end|>": 302, "<|endoftext|>": 300, "<|mine|>": 305})
    assert find_tokens(tokenizer, eos_token="<|mine|>") == Tokens((300, 302, 305))


def test_a_part_of_an_answer_does_not_end_it() -> None:
    marks = {"<|end|>": 301, "<|return|>": 302, "<|call|>": 303}
    assert find_tokens(MarkTokenizer(**marks)).end == (302, 303)


def test_ends_that_are_known_are_not_looked_up() -> None:
    marks = {"<|im_end|>": 302, "<think>": 303, "</think>": 304}
    found = find_tokens(MarkTokenizer(**marks), end=[9])
    assert found == Tokens((9,), 303, 304, "</think>")


def test_a_schema_goes_through_json_whatever_is_in_it(maker: GrammarMaker) -> None:
    grammar = made(maker, JsonSchema({"const": {'a"b': ["é", "\n", 1.5, None]}}))
    assert maker.matches(grammar, json.dumps({'a"b': ["é", "\n", 1.5, None]}, ensure_ascii=False))
