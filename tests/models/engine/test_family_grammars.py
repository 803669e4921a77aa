"""What a family's grammar allows: calls as its template writes them, by the names of the tools."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from models import chat
from models.chat import GenerateRequest, Tool, ToolChoice
from models.engine.grammar import Tokens
from models.engine.grammar_calls import Offer, compile_calls
from models.engine.grammar_maker import GrammarMaker, find_tokens
from models.engine.grammar_parameters import arguments_of
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest
from models.markup import CallForm
from models.model_family import ModelFamily, family_of
from tests.models.engine.real_calls import RealCall
from tests.models.engine.test_families import FOUND, WRITING, calls, written

pytestmark = pytest.mark.skipif(not FOUND, reason="no chat templates here")


class Vocabulary:
    """Bytes, and a token for each tag."""

    bos_token_id = None

    def __init__(self, tags: list[str]) -> None:
        self.tokens = [bytes([each]) for each in range(256)]
        self.tokens += [*(tag.encode() for tag in tags), b"<end>"]
        self.eos_token_id = len(self.tokens) - 1
        self.special_token_ids = list(range(256, len(self.tokens)))

    def __call__(self, text: bytes) -> list[int]:
        return []


class Case:
    def __init__(self, family: ModelFamily, *, as_tokens: bool) -> None:
        self.family = family
        found = [tag for tag in family.tags if tag[0] in "<["] if as_tokens else []
        self.tags = {tag: 256 + place for place, tag in enumerate(found)}
        self.end = 256 + len(found)
        self._tokenizer = LLTokenizer(TokenizerWrapper(Vocabulary(found)), slices=None)

    def grammar(self, tools: list[Tool], mode: Any = "required") -> str:
        assert self.family.calls
        tokens = Tokens((self.end,), tags=self.tags)
        arguments = {each.name: arguments_of(each, self.family.calls, tokens) for each in tools}
        offer = Offer(
            calls=self.family.calls, arguments=arguments, choice=ToolChoice(mode), thought="none"
        )
        return compile_calls(offer, tokens).lark

    def allows(self, said: str, lark: str, *, ended: bool = True) -> bool:
        matcher = LLMatcher(self._tokenizer, lark, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        tokens: list[int] = []
        parts = re.split(f"({'|'.join(map(re.escape, self.tags))})", said) if self.tags else [said]
        for part in parts:
            tokens += [self.tags[part]] if part in self.tags else part.encode()
        return matcher.consume_tokens([*tokens, *([self.end] if ended else [])])


# Whose templates write arguments with other spaces, escapes or quotes than models do, or leave an
# end out.
SPACED = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "ByteDance-Seed-OSS",
    "LFM2.5-8B-A1B",
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "Reka-Edge",
}
_ID = re.compile(r', "id": "\d{9}"(?=\}\]</tool_calls>)')  # Apriel's, if there is one


HELLO = {
    CallForm.HARMONY: "<|channel|>final<|message|>Hello",
    CallForm.PART: "all\nHello",
}


def _as_said(text: str) -> str:
    """gpt-oss' template writes a call in another order than the model does."""
    return re.sub(
        r"^ to=(\S+)<\|channel\|>commentary json",
        r"<|channel|>commentary to=\1 <|constrain|>json",
        text,
    )


def in_order(call: RealCall) -> bool:
    """Whether it has what its schema names, in that order: grammars want it so."""
    schema = call.tool.parameters or {}
    if not all("type" in each for each in schema["properties"].values()):
        return False  # Gemma's form cannot be held to what says nothing
    names = [each for each in schema["properties"] if each in call.arguments]
    return names == list(call.arguments) and set(schema.get("required", ())) <= set(names)


@pytest.mark.parametrize("name", [each for each in WRITING if each not in SPACED])
@pytest.mark.parametrize("as_tokens", [False, True])
def test_what_the_template_writes_is_allowed_and_another_name_is_not(
    name: str, as_tokens: bool
) -> None:
    case = Case(FOUND[name], as_tokens=as_tokens)
    other = Tool("another_tool", "", {"properties": {}})
    assert case.family.calls
    hello = next((HELLO[form] for form in HELLO if case.family.calls.form is form), "Hello")
    real = zip(written(name)[:-2], calls(name)[:-2], strict=True)
    held = [each for each in real if in_order(each[1])]
    for with_id, call in held[:: len(held) // 2]:
        text = _as_said(_ID.sub("", with_id))
        assert case.allows(text, case.grammar([other, call.tool])), text
        assert not case.allows(text, case.grammar([other])), text
        assert not case.allows(hello, case.grammar([call.tool]))
        assert case.allows(hello, case.grammar([call.tool], "auto"))
        assert case.allows(hello, case.grammar([call.tool], "none"))
        assert case.allows(text, case.grammar([call.tool], "auto"))
        assert not case.allows(text, case.grammar([other], "auto"), ended=False)


UNKEPT: dict[str, dict[str, Any]] = {
    "<tool_call><function=<parameter=": {"type": "string", "pattern": "a+"},
    "<tool_call><arg_key>": {"type": "string", "format": "date"},
    "<|tool_call>": {"type": "object"},
    "<start_function_call>": {"anyOf": [{"type": "array"}, {"type": "string"}]},
    "<|im_start|>List of tools: ": {"type": "array", "uniqueItems": True},
}


@pytest.fixture(scope="module")
def maker() -> Iterator[GrammarMaker]:
    maker = GrammarMaker(lambda: Tokens((256,)))
    yield maker
    maker.close()


@pytest.mark.parametrize("words", UNKEPT)
@pytest.mark.parametrize("strict", [False, True])
def test_what_a_form_cannot_be_held_to_is_refused_where_it_must_be(
    maker: GrammarMaker, words: str, strict: bool
) -> None:
    tool = Tool("look", "", {"properties": {"x": UNKEPT[words]}}, strict=strict)
    choice = ToolChoice("auto" if strict else "required")
    request = GenerateRequest(
        model="x", prompt=(chat.user("Hi"),), tools=(tool,), tool_choice=choice
    )
    with pytest.raises(InvalidRequest, match="tool 'look'"):
        maker.make(request, (1,), family_of(words))


@pytest.mark.parametrize("words", UNKEPT)
def test_and_else_such_a_call_is_free_and_others_are_not(maker: GrammarMaker, words: str) -> None:
    free = Tool("look", "", {"properties": {"x": UNKEPT[words]}})
    request = GenerateRequest(model="x", prompt=(chat.user("Hi"),), tools=(free, Tool("ping")))
    family = family_of(words)
    made = maker.make(request, (1,), family)
    assert made and family.calls
    case = Case(family, as_tokens=False)
    assert case.allows("Hello", made.lark)
    assert not case.allows(f"{family.calls.begin}oops", made.lark, ended=False)


class GemmaTokenizer:
    """Of Gemma 4's vocabulary the tags alone."""

    def encode(self, text: str) -> list[int]:
        return {"<|channel>": [1], "<channel|>": [2]}.get(text, [7, 7])

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]


def test_a_thought_in_a_channel_comes_before_a_call() -> None:
    tokenizer = cast("Tokenizer", GemmaTokenizer())
    tokens = find_tokens(tokenizer, end=[3])
    maker = GrammarMaker(lambda: tokens)
    request = GenerateRequest(
        model="x",
        prompt=(chat.user("Hi"),),
        tools=(Tool("ping"),),
        tool_choice=ToolChoice("required"),
        thinking=True,
    )
    made = maker.make(request, (9,), family_of("<|tool_call>"))
    maker.close()
    assert made and "(<[1]> THOUGHT (<[2]> GAP" in made.lark
