"""Real chat templates find their rows, and what they write of a call reads back as the same."""

import json

import pytest

from models import chat
from models.chat import Message, Tool, ToolCall
from models.engine.decoder import Decoder
from models.engine.speech import Speech
from models.engine.template import ChatTemplate
from models.events import FinishReason, ToolCallDelta
from models.model_family import CALLS, UNMARKED, family_of
from tests.conftest import TESTDATA

QWEN = [
    "Bielik-11B-v3.0-Instruct",
    "MiMo-VL",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-QwQ-32B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Reka-Edge",
    "ibm-granite-granite-4.0",
    "ibm-granite-granite-4.1",
    "qwen2.5-instruct",
]
TEMPLATES = sorted((TESTDATA / "chat-templates").glob("*.jinja"))
ARGUMENTS = {"city": "Zürich 😀", "why": 'a "b" {</tool_call>}\n<x>', "n": [1, {"a": None}]}

pytestmark = pytest.mark.skipif(not TEMPLATES, reason="no chat templates here")


def template(name: str) -> str:
    return (TESTDATA / f"chat-templates/{name}.jinja").read_text(encoding="utf-8")


def test_templates_with_calls_of_another_form_are_told_from_it() -> None:
    rows = {path.stem: family_of(path.read_text(encoding="utf-8")).calls for path in TEMPLATES}
    assert [name for name, row in rows.items() if row is CALLS[0]] == QWEN


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("Qwen-Qwen3-0.6B", "<think>"),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "<think>"),
        ("mistralai-Ministral-3-14B-Reasoning-2512", "[THINK]"),
        ("ByteDance-Seed-OSS", "<seed:think>"),
    ],
)
def test_a_template_shows_how_its_model_thinks(name: str, begin: str) -> None:
    thoughts = family_of(template(name)).thoughts
    assert thoughts and thoughts.begin == begin


@pytest.mark.parametrize("source", [None, "", "{{ messages }}"])
def test_a_model_without_such_a_template_marks_nothing(source: str | None) -> None:
    assert family_of(source) == UNMARKED


@pytest.mark.parametrize("name", QWEN)
def test_a_call_as_the_template_writes_it_reads_back_as_the_same(name: str) -> None:
    written = ChatTemplate(template(name), bos_token="<s>", eos_token="</s>")
    tool = Tool("look.up-it", "Look.", {"type": "object", "properties": {}})
    call = ToolCall("call_00001", tool.name, json.dumps(ARGUMENTS))
    asked = chat.user("Look!")
    before = written.render((asked,), (tool,), ask=False)
    after = written.render((asked, Message("assistant", (call,))), (tool,), ask=False)
    answer = after[len(before) :]
    answer = answer[answer.index("<tool_call>") :]

    for place in range(len(answer)):
        decoder = Decoder((), Speech(written.family, calls=True))
        deltas = decoder.feed(answer[:place].encode(), None)[0]
        deltas += decoder.feed(answer[place:].encode(), FinishReason.END_OF_TURN)[0]
        calls = [each for each in deltas if isinstance(each, ToolCallDelta)]
        assert calls[0].name == tool.name
        assert {each.index for each in calls} == {0}
        assert json.loads("".join(each.arguments for each in calls)) == ARGUMENTS
