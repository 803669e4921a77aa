"""What may be called, token by token, as llguidance itself has it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from models import chat
from models.chat import GenerateRequest, JsonSchema, SamplingParams, Tool, ToolChoice
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_maker import GrammarMaker
from models.errors import InvalidRequest
from models.model_family import CALLS, THOUGHTS, ModelFamily

QWEN = ModelFamily(CALLS[0], THOUGHTS[0])
END = "<|im_end|>"
TAGS = {"<tool_call>": 256, "</tool_call>": 257, END: 258, "<think>": 259, "</think>": 260}
# Of a vocabulary that has the tags as tokens, and of one where they are text.
TOKENS = Tokens(
    end=(258,),
    think_start=259,
    think_end=260,
    think_end_text="</think>",
    tags={"<tool_call>": 256, "</tool_call>": 257},
)
SPELLED = Tokens(end=(258,))
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LOOK = Tool("look", "Look.", CITY)
ADD = Tool("add.up-2", "", {"properties": {"n": {"type": "integer"}}})
PING = Tool("ping")
UNIQUE = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
NO_SCHEMA = {"type": "object", "properties": {"x": {"type": "dict"}}}
CALL = '<tool_call>\n{"name": "look", "arguments": {"city": "Bern"}}\n</tool_call>'
ADDED = '<tool_call>{"name": "add.up-2", "arguments": {"n": 3}}</tool_call>'
PINGED = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'


class _Vocabulary:
    """Bytes, and the tags: those of control are no text."""

    bos_token_id = None

    def __init__(self, *, tags_are_text: bool) -> None:
        self.tokens = [bytes([each]) for each in range(256)]
        self.tokens += [*(tag.encode() for tag in TAGS), b"<end>"]
        self.eos_token_id = len(self.tokens) - 1
        special = [258] if tags_are_text else sorted(TAGS.values())
        self.special_token_ids = [*special, self.eos_token_id]

    def __call__(self, text: bytes) -> list[int]:
        return []


class Case:
    """A vocabulary, and the grammars that are made for it."""

    def __init__(self, tokens: Tokens) -> None:
        self.tags_are_tokens = bool(tokens.tags)
        self.maker = GrammarMaker(lambda: tokens)
        self._tokenizers = [
            LLTokenizer(TokenizerWrapper(_Vocabulary(tags_are_text=text)), slices=None)
            for text in ((False, True) if self.tags_are_tokens else (True,))
        ]

    def grammar(self, prompt: tuple[int, ...] = (1,), **asked: Any) -> CompiledGrammar:
        asked = {"tools": (LOOK, ADD, PING)} | asked
        request = GenerateRequest(model="x", prompt=(chat.user("Hi"),), **asked)
        made = self.maker.make(request, prompt, QWEN)
        assert made
        return made

    def allows(self, said: str, lark: str) -> bool:
        """Whether an answer, or the beginning of one, may be said: on both engines alike."""
        found = {self._matches(tokenizer, said, lark) for tokenizer in self._tokenizers}
        assert len(found) == 1
        return found.pop()

    def _matches(self, tokenizer: LLTokenizer, said: str, lark: str) -> bool:
        matcher = LLMatcher(tokenizer, lark, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        tokens: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, TAGS))})", said):
            is_token = part == END or (part in TAGS and self.tags_are_tokens)
            tokens += [TAGS[part]] if is_token else part.encode()
        return matcher.consume_tokens(tokens)


@pytest.fixture(scope="module", params=[TOKENS, SPELLED], ids=["tokens", "spelled"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    case = Case(request.param)
    yield case
    case.maker.close()


RIGHT = {
    "auto": ["Hello." + END, END, CALL + END, f"Well. {CALL}\n{ADDED}\n{PINGED}" + END],
    "required": [CALL + END, f"{ADDED}{PINGED}" + END],
    "none": ["Hello." + END, "2 < 3" + END],
}
WRONG = {
    "auto": [
        '<tool_call>{"name": "lo_',
        '<tool_call>{"name": "look", "arguments": {}',
        '<tool_call>{"name": "look", "arguments": {"city": 1',
        '<tool_call>{"name": "look", "arguments": {"city": "a", ',
        '<tool_call>{"name": "ping", "arguments": {"',
        f"{CALL} And",
        "<tool_call>oops",
    ],
    "required": ["Hello", END, '<tool_call>{"name": "lo_'],
    "none": [CALL],
}


@pytest.mark.parametrize("mode", RIGHT)
def test_calls_are_kept_to_names_and_schemas(case: Case, mode: Any) -> None:
    lark = case.grammar(tool_choice=ToolChoice(mode)).lark

    assert [each for each in RIGHT[mode] if not case.allows(each, lark)] == []
    assert [each for each in WRONG[mode] if case.allows(each, lark)] == []


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_only_what_is_allowed_is_called(case: Case, mode: Any) -> None:
    lark = case.grammar(tool_choice=ToolChoice(mode, ("ping", "look"))).lark

    assert case.allows(PINGED + CALL + END, lark)
    assert not case.allows(ADDED, lark)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_one_call_is_one(case: Case, mode: Any) -> None:
    lark = case.grammar(tool_choice=ToolChoice(mode, parallel=False)).lark

    assert case.allows(PINGED + END, lark)
    assert not case.allows(f"{PINGED}\n<tool_call>", lark)


def test_an_answer_of_a_given_form_may_be_a_call_instead(case: Case) -> None:
    lark = case.grammar(constraint=JsonSchema({"type": "integer"})).lark

    assert case.allows("12" + END, lark)
    assert case.allows(CALL + END, lark)
    assert not case.allows("Hello", lark)


def test_where_a_call_is_required_its_answer_of_a_given_form_is_none(case: Case) -> None:
    asked = {"constraint": JsonSchema({"type": "integer"}), "tool_choice": ToolChoice("required")}
    assert not case.allows("12", case.grammar(**asked).lark)


def test_without_a_call_an_answer_has_the_form_that_is_asked_for(case: Case) -> None:
    asked = {"constraint": JsonSchema({"type": "integer"}), "tool_choice": ToolChoice("none")}
    lark = case.grammar(**asked).lark
    assert case.allows("12" + END, lark)
    assert not case.allows("Hello", lark)
    assert not case.allows(CALL, lark)


@pytest.fixture(scope="module")
def thinker() -> Iterator[Case]:
    case = Case(TOKENS)
    yield case
    case.maker.close()


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("between", ["</think>\n\n", ""])
def test_a_call_follows_a_thought(thinker: Case, mode: Any, between: str) -> None:
    lark = thinker.grammar(tool_choice=ToolChoice(mode), thinking=True).lark

    assert thinker.allows(f"<think>\nHm.{between}{CALL}" + END, lark)
    assert not thinker.allows(f'<think>\nHm.{between}<tool_call>{{"name": "lo_', lark)


def test_a_thought_that_the_prompt_has_begun_goes_on(thinker: Case) -> None:
    grammar = thinker.grammar((1, 259), tool_choice=ToolChoice("required"))

    assert thinker.allows(f"Hm.</think>\n{CALL}" + END, grammar.lark)
    assert not thinker.allows("Hm.</think>Hello", grammar.lark)
    assert grammar.trigger == TAGS["</think>"]
    assert thinker.allows(f"\n{CALL}" + END, grammar.tail)


def test_free_text_costs_nothing_where_the_tag_is_a_token(thinker: Case) -> None:
    grammar = thinker.grammar()

    assert grammar.trigger == TAGS["<tool_call>"]
    assert thinker.allows(CALL.removeprefix("<tool_call>") + END, grammar.tail)
    assert not thinker.allows('{"name": "lo_', grammar.tail)


# -- What cannot be obeyed ---------------------------------------------------------


@pytest.mark.parametrize("schema", [UNIQUE, NO_SCHEMA])
@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": ToolChoice("required")},
        {"tools": (LOOK, Tool("bad", "", UNIQUE, strict=True))},
        {"tools": (LOOK, Tool("bad", "", NO_SCHEMA, strict=True))},
    ],
)
def test_a_schema_that_must_be_obeyed_and_cannot_is_refused_by_name(
    case: Case, schema: Any, asked: dict[str, Any]
) -> None:
    asked = {"tools": (LOOK, Tool("bad", "", schema))} | asked
    with pytest.raises(InvalidRequest, match="tool 'bad'"):
        case.grammar(**asked)


@pytest.mark.parametrize("schema", [UNIQUE, NO_SCHEMA])
def test_one_that_need_not_be_leaves_the_others_as_they_are(case: Case, schema: Any) -> None:
    lark = case.grammar(tools=(LOOK, Tool("bad", "", schema))).lark

    assert case.allows('<tool_call>{"name": "bad", "arguments": {"x": [1, 1]}}</tool_call>', lark)
    assert not case.allows('<tool_call>{"name": "bad", "arguments": [', lark)
    assert not case.allows('<tool_call>{"name": "look", "arguments": {}', lark)


def test_a_call_of_none_of_the_tools_cannot_be_required(case: Case) -> None:
    with pytest.raises(InvalidRequest, match="none of the tools"):
        case.grammar(tool_choice=ToolChoice("required", ("other",)))


def test_an_answer_that_never_ends_is_free_unless_it_must_be_a_call(case: Case) -> None:
    endless = SamplingParams(ignore_eos=True)
    request = GenerateRequest(model="x", prompt="Hi", tools=(LOOK,), sampling=endless)
    assert case.maker.make(request, (1,), QWEN) is None
    with pytest.raises(InvalidRequest, match="ignore_eos"):
        case.grammar(sampling=endless, tool_choice=ToolChoice("required"))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"properties": {"city": {}}},
        {"$ref": "#/$defs/a", "$defs": {"a": CITY}},
        {"anyOf": [CITY, {"type": "object", "properties": {"n": {"type": "null"}}}]},
        {
            "properties": {
                "city": {"type": ["string", "null"], "description": "城市", "nullable": True}
            }
        },
        {"properties": {"city": {"enum": [f"{n} Bern" for n in range(200)] + ["Bern"]}}},
        {
            "properties": {"city": {"$ref": "#/$defs/c"}},
            "$defs": {"c": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}},
        },
    ],
)
def test_schemas_as_agents_have_them_are_obeyed(case: Case, schema: dict[str, Any]) -> None:
    lark = case.grammar(tools=(Tool("look", "", schema),), tool_choice=ToolChoice("required")).lark
    arguments = '{"city": "Bern"}' if "city" in str(schema) else "{}"

    assert case.allows(
        f'<tool_call>{{"name": "look", "arguments": {arguments}}}</tool_call>' + END, lark
    )
    assert not case.allows('<tool_call>{"name": "look", "arguments": [', lark)


@pytest.mark.parametrize(
    ("more", "allowed"),
    [({}, False), ({"additionalProperties": True}, True), ({"allOf": [{}]}, True)],
)
def test_an_object_that_names_what_it_takes_takes_no_more_unless_it_says_so(
    case: Case, more: dict[str, Any], allowed: bool
) -> None:
    place = CITY | more
    schema = {"properties": {"to": {"type": "array", "items": place}, "free": {"type": "object"}}}
    lark = case.grammar(tools=(Tool("look", "", schema),), tool_choice=ToolChoice("required")).lark
    begun = '<tool_call>{"name": "look", "arguments": {"to": [{"city": "Bern"'

    assert case.allows(begun + '}], "free": {"x": 1}}}</tool_call>' + END, lark)
    assert case.allows(begun + ', "x"', lark) is allowed
