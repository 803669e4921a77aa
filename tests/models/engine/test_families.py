"""What real templates write of real calls reads back as the same, wherever it is cut."""

# ruff: noqa: RUF001  # so DeepSeek writes its tags

import json
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from models import chat
from models.chat import Message, Text, Tool, ToolCall, ToolResult
from models.engine.decoder import Channel, Decoder
from models.engine.generation import channel_of
from models.engine.prepared import Prompt
from models.engine.template import ChatTemplate
from models.events import Delta, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from models.markup import CallForm
from models.model_family import ModelFamily, family_of
from tests.models.engine.published import SOURCES, compiled
from tests.models.engine.real_calls import RealCall, real_calls

COUNT = 200  # real calls
CHAT = 40  # of them in one: some templates look at all messages for each
FOUND = {name: family_of(source) for name, source in SOURCES.items()}
# These write no calls of an earlier turn: what we put into the text for them reads back, too.
WRITING = [name for name, family in FOUND.items() if family.calls]
# One template of each row: what is cut or broken is no longer the template's.
ROWS = list({id(FOUND[name].calls): name for name in WRITING}.values())
# The tag that begins a call stands once in a whole chat.
TAG_ONCE = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
}
# What ends a turn, in the text of the templates.
_ENDS = re.compile(
    r"<\|(eot_id|eom_id|im_end|end_of_text|END_OF_TURN_TOKEN|assistant_end|calls?|message_sep|end"
    r"|observation)\|>|</s>|<｜end▁of▁sentence｜>|\[e~\[|<SPECIAL_12>|<turn\|>|<seed:eos>"
    r"|<｜tool▁outputs▁begin｜>|(?<=<\|tools_suffix\|>)\[|\n*<sep>|<\|tool_response>|<\|START_OF_TURN_TOKEN\|>"
)
NASTY = Tool(
    "look.up-it",
    "Look.",
    {"type": "object", "properties": {"why": {"type": "string"}, "n": {"type": "array"}}},
)
NASTY_ARGUMENTS: dict[str, Any] = {
    "why": 'Zürich 😀 "b" {</x>} it\'s\n\n<y> [1], (2) ]} `',
    "n": [1, {"a": 'q"}'}, True, []],
}

pytestmark = pytest.mark.skipif(not SOURCES, reason="no chat templates here")


@cache
def calls(name: str) -> tuple[RealCall, ...]:
    """Return what a template is tried with: those of one row in the table share the real calls."""
    alike = [each for each in WRITING if FOUND[each].calls is FOUND[name].calls]
    share = real_calls(COUNT)[alike.index(name) :: len(alike)]
    return (*share, RealCall(NASTY, NASTY_ARGUMENTS), RealCall(NASTY, {}))


@cache
def written(name: str) -> list[str]:
    """Return what a template writes of each call, in a few long chats."""
    found: list[str] = []
    size = 1 if name in TAG_ONCE else CHAT
    for start in range(0, len(calls(name)), size):
        found += _written(compiled(name), calls(name)[start : start + size])
    return [_answer(each, FOUND[name]) for each in found]


def _written(template: ChatTemplate, calls: Sequence[RealCall]) -> list[str]:
    messages: list[Message] = []
    for place, call in enumerate(calls):
        call_id = f"{place:09}"
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        messages += [
            chat.user(f"\ue001{place}\ue002"),
            Message("assistant", (ToolCall(call_id, call.tool.name, arguments),)),
            Message("tool", (ToolResult(call_id, (Text(f"\ue003{place}\ue002"),)),)),
            Message("assistant", (Text("Fine."),)),
        ]
    tools = (
        Tool(
            "look_up", "Look.", {"type": "object", "properties": {}, "additionalProperties": False}
        ),
    )
    text = template.render(messages, tools, ask=False)
    found = re.findall(r"\ue001\d+\ue002(.*?)\ue003\d+\ue002", text, re.DOTALL)
    assert len(found) == len(calls)
    return found


def _answer(text: str, family: ModelFamily) -> str:
    """Of what stands between a question and a result what the model says."""
    assert family.calls
    if family.calls.form is CallForm.HARMONY:  # as it goes on behind <|start|>assistant
        text = text[text.rindex("<|start|>assistant") + len("<|start|>assistant") :]
    elif family.calls.form is CallForm.PART:
        text = text[text.index(family.calls.begin) + len(family.calls.begin) :]
    else:
        text = text[text.index(family.calls.begin) :]
    end = _ENDS.search(text)
    return (text[: end.start()] if end else text).rstrip()


def told(
    family: ModelFamily, pieces: Sequence[str], tools: tuple[Tool, ...]
) -> tuple[list[Any], int]:
    """What is told of an answer: calls with what they say, and texts; and what is not read."""
    request = chat.GenerateRequest(model="x", prompt=(chat.user("Hi"),), tools=tools)
    channel: Channel = channel_of(request, Prompt((1,), 1, family=family))
    decoder = Decoder((), channel)
    deltas: list[Delta] = []
    for place, piece in enumerate(pieces):
        last = FinishReason.END_OF_TURN if place == len(pieces) - 1 else None
        deltas += decoder.feed(piece.encode(), last)[0]
    return folded(deltas), channel.unread_calls


def folded(deltas: Sequence[Delta]) -> list[Any]:
    found: list[Any] = []
    names: list[str] = []
    arguments: list[str] = []
    for delta in deltas:
        match delta:
            case ToolCallDelta(index, piece, call_id, name):
                if name:
                    assert call_id
                    names.append(name)
                    arguments.append("")
                    found.append(len(names) - 1)
                assert index == len(names) - 1
                arguments[-1] += piece
            case TextDelta(text) | ReasoningDelta(text):
                if found and isinstance(found[-1], str):
                    found[-1] += text
                else:
                    found.append(text)
    return [(names[each], arguments[each]) if isinstance(each, int) else each for each in found]


def values(told: list[Any]) -> list[Any]:
    return [each if isinstance(each, str) else (each[0], json.loads(each[1])) for each in told]


def random_pieces(text: str, chance: random.Random) -> Iterator[str]:
    longest = chance.choice((1, 3, 9, 40))
    while text:
        size = chance.randint(1, longest)
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("name", WRITING)
def test_a_call_as_the_template_writes_it_reads_back_as_the_same(name: str) -> None:
    chance = random.Random(name)
    for text, call in zip(written(name), calls(name), strict=True):
        expected = ([(call.tool.name, call.arguments)], 0)
        whole, unread = told(FOUND[name], [text], (call.tool,))
        assert (values(whole), unread) == expected, text
        pieces = list(random_pieces(text, chance))
        assert told(FOUND[name], pieces, (call.tool,)) == (whole, unread), pieces


@pytest.mark.parametrize("name", ROWS)
def test_it_is_the_same_wherever_it_is_cut_in_two(name: str) -> None:
    text = written(name)[-2]
    whole = told(FOUND[name], [text], (NASTY,))
    for place in range(len(text)):
        assert told(FOUND[name], [text[:place], text[place:]], (NASTY,)) == whole, place


BERN = {"city": "Bern", "days": 2}
BERN_TOOL = Tool(
    "look",
    "",
    {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
)
# Rows of which no template here writes a call: what their makers' documents show, by the words
# of a template by which they are found.
DOCUMENTED = {
    "Granite 3": (
        "<|start_of_role|> tools",
        '<|tool_call|>[{"name": "look", "arguments": {"city": "Bern", "days": 2}}]',
    ),
    "Phi-4 mini": (
        "<|tool|>",
        '<|tool_call|>[{"name": "look", "arguments": {"city": "Bern", "days": 2}}]<|/tool_call|>',
    ),
    "FunctionGemma": (
        "<start_function_call>",
        "<start_function_call>call:look{city:<escape>Bern<escape>,days:2}<end_function_call>",
    ),
    "LFM 2": (
        "<|im_start|> List of tools: ",
        '<|tool_call_start|>[look(city="Bern", days=2)]<|tool_call_end|>',
    ),
    "Llama 4": ("<|header_start|>", '[look(city="Bern", days=2)]'),
    "Llama 4 in JSON": (
        "<|header_start|>",
        '[{"name": "look", "parameters": {"city": "Bern", "days": 2}}]',
    ),
    "Llama 3's tag": (
        '<|start_header_id|> "parameters": ',
        '<|python_tag|>{"name": "look", "parameters": {"city": "Bern", "days": 2}}',
    ),
    "any other": ("tools tool_calls", '{"name": "look", "arguments": {"city": "Bern", "days": 2}}'),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_call_as_documents_show_it_is_read(name: str) -> None:
    words, text = DOCUMENTED[name]
    for place in range(len(text)):
        found = told(family_of(words), [text[:place], text[place:]], (BERN_TOOL,))
        assert (values(found[0]), found[1]) == ([("look", BERN)], 0), place


@pytest.mark.parametrize("words", ["<|header_start|>", "tools tool_calls"])
@pytest.mark.parametrize(
    "said",
    ["Hello", '{"name": "other", "arguments": {}}', '{"n": 1}', "[1, 2]", "[look]", "[", "{"],
)
def test_without_a_tag_only_the_name_of_a_tool_makes_a_call(words: str, said: str) -> None:
    for place in range(len(said)):
        assert told(family_of(words), [said[:place], said[place:]], (BERN_TOOL,)) == ([said], 0)


@pytest.mark.parametrize(
    ("written", "kind", "meant"),
    [
        ("3", "integer", 3),
        ("3", "string", "3"),
        ("True", "boolean", True),
        ("None", ["string", "null"], None),
        ("3", ["string", "integer"], "3"),
        ('["a"]', ["string", "array"], ["a"]),
        ("{'a': None}", "object", {"a": None}),
        ("NaN", "number", "NaN"),
        ("three", "integer", "three"),
    ],
)
def test_a_parameter_is_what_its_schema_says(written: str, kind: Any, meant: Any) -> None:
    tool = Tool("look", "", {"properties": {"x": {"type": kind}}})
    text = (
        f"<tool_call><function=look><parameter=x>\n{written}\n</parameter></function></tool_call>"
    )
    family = family_of("<tool_call><function=<parameter=")
    assert values(told(family, [text], (tool,))[0]) == [("look", {"x": meant})]
