"""Calls and their results as clients send them, by every published template that calls tools."""

import json

import pytest

from models import chat
from models.chat import Message, Reasoning, Text, Tool, ToolCall, ToolResult
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest
from models.model_family import family_of
from tests.models.engine.published import SOURCES, compiled

CALLING = [name for name, source in SOURCES.items() if family_of(source).calls]
TOOLS = (
    Tool("look", "", {"properties": {"city": {"type": "string"}, "n": {}}, "type": "object"}),
    Tool("ping", "", {}),
)
ASK = chat.user("Well?")
MORE = chat.user("MORE")


def look(city: str, id: str = "") -> ToolCall:
    return ToolCall(id, "look", json.dumps({"city": city}))


def calls(*parts: ToolCall | Reasoning | Text) -> Message:
    return Message("assistant", parts)


def says(*texts: str, id: str = "", name: str = "", is_error: bool = False) -> Message:
    return Message("tool", (ToolResult(id, tuple(map(Text, texts)), name, is_error),))


BOTH = calls(look("AAA", "call00001"), look("BBB", "call00002"))
# What is sent, and what is to stand in the prompt in this order.
HISTORIES: dict[str, tuple[tuple[Message, ...], list[str]]] = {
    "in order": (
        (ASK, BOTH, says("RA", id="call00001"), says("RB", id="call00002")),
        ["AAA", "BBB", "RA", "RB"],
    ),
    "results in another order": (
        (ASK, BOTH, says("RB", id="call00002"), says("RA", id="call00001")),
        ["AAA", "BBB", "RA", "RB"],
    ),
    "two results of one call": (
        (ASK, calls(look("AAA", "1")), says("RA", id="1"), says("RB", id="1")),
        ["AAA", "RA", "RB"],
    ),
    "a result before its call": (
        (ASK, says("RA", id="1"), calls(look("AAA", "1"))),
        ["AAA", "RA"],
    ),
    "a result behind a question": (
        (ASK, calls(look("AAA", "1")), MORE, says("RA", id="1")),
        ["AAA", "RA", "MORE"],
    ),
    "no ids": (
        (ASK, calls(look("AAA"), look("BBB")), says("RA"), says("RB")),
        ["AAA", "BBB", "RA", "RB"],
    ),
    "no ids, in two turns": (
        (ASK, calls(look("AAA")), says("RA"), calls(look("BBB")), says("RB")),
        ["AAA", "RA", "BBB", "RB"],
    ),
    "an id that nobody has": (
        (ASK, calls(look("AAA", "1")), says("RA", id="7")),
        ["AAA", "RA"],
    ),
    "a result in parts": (
        (ASK, calls(look("AAA", "1")), says("RA", "RB", id="1")),
        ["AAA", "RA", "RB"],
    ),
    "an error": (
        (ASK, calls(look("AAA", "1")), says("RA", id="1", is_error=True)),
        ["AAA", "Error: RA"],
    ),
    "arguments that are cut off": (
        (ASK, calls(ToolCall("1", "look", '{"city": "AAA')), says("RA", id="1")),
        ["AAA", "RA"],
    ),
    "no arguments": (
        (ASK, calls(ToolCall("1", "ping", "")), says("RA", id="1")),
        ["ping", "RA"],
    ),
    "words before a call": (
        (ASK, calls(Text("HM"), look("AAA", "1")), says("RA", id="1")),
        ["HM", "AAA", "RA"],
    ),
    "a result of no call": (
        (ASK, chat.assistant("HM"), says("RA", id="7", name="look"), MORE),
        ["RA", "MORE"],
    ),
    "no result": ((ASK, calls(look("AAA", "1")), MORE), ["AAA", "MORE"]),
}
# They take one call a message, each with its result.
ONE_BY_ONE = [
    name for name in CALLING if name.startswith(("GigaChat3", "meta-llama", "openai-gpt-oss"))
]
# They want a result behind every call, and say so.
NEED_RESULTS = [name for name in CALLING if name.startswith(("Mistral-Small", "mistralai-Mi"))]
# The words before a call are dropped, or come behind it.
NO_WORDS = [
    *(name for name in CALLING if name.startswith(("NousResearch", "meta-llama"))),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "upstage-Solar-Open-100B",
]
WORDS_BEHIND = {
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "google-gemma-4-31B-it",
    "google-gemma-4-31B-it-interleaved",
}

pytestmark = pytest.mark.skipif(not SOURCES, reason="no chat templates here")


@pytest.mark.parametrize("name", CALLING)
def test_a_history_is_written_with_every_result_behind_its_call(name: str):
    for what, (messages, expected) in HISTORIES.items():
        if what == "no result" and name in NEED_RESULTS:
            continue
        text = compiled(name).render(messages, TOOLS)
        text = text[text.index("Well?") :]
        if name in ONE_BY_ONE and "RB" in expected:
            assert all(
                text.index(call) < text.index(said)
                for call, said in (("AAA", "RA"), ("BBB" if "BBB" in text else "AAA", "RB"))
            ), (what, text)
            continue
        said = [*expected]
        if "HM" in said and name in [*NO_WORDS, *WORDS_BEHIND]:
            assert ("HM" in text) == (name in WORDS_BEHIND)
            said.remove("HM")
        places = [text.find(each) for each in said]
        assert -1 not in places and places == sorted(places), (what, text)


@pytest.mark.parametrize("name", NEED_RESULTS)
def test_what_a_template_refuses_is_named_by_its_place(name: str):
    with pytest.raises(InvalidRequest, match=r"the (assistant's at place 2|user's at place 3)"):
        compiled(name).render(HISTORIES["no result"][0], TOOLS)


def test_calls_of_kimi_without_ids_have_the_ids_of_its_own():
    messages, _ = HISTORIES["no ids"]
    text = compiled("moonshotai-Kimi-K2").render(messages, TOOLS)

    assert "<|tool_call_begin|>functions.look:1<|tool_call_argument_begin|>" in text
    assert "## Return of functions.look:1" in text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Qwen-Qwen3-0.6B", True),
        ("openai-gpt-oss-120b", True),
        ("upstage-Solar-Open-100B", True),
        ("mistralai-Ministral-3-14B-Reasoning-2512", True),
        ("MiniMax-M2", True),
        ("Kimi-K2-Thinking", True),
        ("Qwen-QwQ-32B", False),
        ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", False),
    ],
)
def test_a_thought_before_a_call_is_kept_or_dropped_as_the_template_has_it(name: str, kept: bool):
    messages = (ASK, calls(Reasoning("THOUGHT"), look("AAA", "1")), says("RA", id="1"))
    assert ("THOUGHT" in compiled(name).render(messages, TOOLS)) == kept


def test_a_template_that_takes_descriptions_for_granted_is_given_them():
    command_r = compiled("CohereForAI-c4ai-command-r-plus-tool_use")
    assert "def look(" in command_r.render((ASK,), TOOLS)


def test_a_tool_that_a_template_changes_stays_as_it_was():
    changing = ChatTemplate("{% set _ = tools[0].function.parameters.required.append('x') %}hi")
    required = ["city"]
    tool = Tool("look", "", {"properties": {}, "required": required})

    assert changing.render((ASK,), (tool,)) == "hi"
    assert required == ["city"]


def test_a_list_that_grows_without_end_is_ended():
    growing = "{% set l = [1] %}{% for _ in range(99999) %}{% set _ = l.append(l) %}{% endfor %}"
    with pytest.raises(InvalidRequest):
        ChatTemplate(growing + "{{ l }}").render((ASK,))
