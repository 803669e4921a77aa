"""Odd tools and histories, as the templates of real families are given them."""

import json
from collections.abc import Sequence

import pytest

from models import chat
from models.chat import Message, Text, Tool, ToolCall, ToolResult
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest
from models.model_family import family_of
from tests.conftest import TESTDATA
from tests.odd_tools import NAMES, SCHEMAS

FOLDER = TESTDATA / "chat-templates"
# Those that look into the schemas of tools, or are strict about turns.
FAMILIES = (
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "GigaChat3.1-10B-A1.8B",
    "MiniMax-M2",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-Qwen3-0.6B",
    "google-gemma-4-31B-it",
    "meetkai-functionary-medium-v3.1",
    "openai-gpt-oss-120b",
)
WEATHER = Tool("get_weather", "Look.", SCHEMAS["$ref"])
ASKED = chat.user("How is it?")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no chat templates here")
every_family = pytest.mark.parametrize("family", FAMILIES)


def template(family: str) -> ChatTemplate:
    source = (FOLDER / f"{family}.jinja").read_text(encoding="utf-8")
    assert family_of(source).calls
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>")


def calls(*ids: str) -> Message:
    arguments = json.dumps({"to": {"city": "Bern"}})
    return Message("assistant", tuple(ToolCall(id, "get_weather", arguments) for id in ids))


def result(id: str, text: str) -> Message:
    return Message("tool", (ToolResult(id, (Text(text),), "get_weather"),))


@every_family
def test_every_lawful_schema_is_rendered(family: str) -> None:
    rendering = template(family)

    for what, schema in SCHEMAS.items():
        text = rendering.render((ASKED,), (Tool("odd_tool", "Look.", schema),))

        assert "odd_tool" in text, what
    for name in NAMES:
        used = Message("assistant", (ToolCall("1", name, "{}"),))
        said = Message("tool", (ToolResult("1", (Text("SUN"),), name),))
        assert name in rendering.render((ASKED, used, said), (Tool(name, "Look.", {}),))


@every_family
@pytest.mark.parametrize(
    "results",
    [
        (result("1", "SUN-1"), result("1", "SUN-2")),  # two of one call
        (result("2", "SUN-2"), result("1", "SUN-1")),  # in another order than their calls
    ],
)
def test_every_result_is_told(family: str, results: Sequence[Message]) -> None:
    text = template(family).render((ASKED, calls("1", "2"), *results), (WEATHER,))

    assert "SUN-1" in text
    assert "SUN-2" in text


@every_family
def test_a_result_before_its_call_is_told_or_refused_with_its_place(family: str) -> None:
    messages = (ASKED, result("1", "SUN-1"), calls("1"), chat.user("And now?"))

    try:
        text = template(family).render(messages, (WEATHER,))
    except InvalidRequest as error:
        assert "refuses message " in str(error)
    else:
        assert "SUN-1" in text or family.startswith("google-gemma-4")  # that tells it nowhere


def test_a_message_that_is_refused_is_named() -> None:
    messages = (ASKED, calls("1"), chat.user("And now?"))

    with pytest.raises(InvalidRequest, match="refuses message 3 of 3, a user's: After the"):
        template("Mistral-Small-3.2-24B-Instruct-2506").render(messages, (WEATHER,))


def test_a_tool_that_is_refused_is_named() -> None:
    refusing = ChatTemplate(
        "{% for tool in tools or [] %}{{ tool.function.parameters.properties.city.enum[0] }}"
        "{% endfor %}{{ messages[0].content }}<tool_call>"
    )

    with pytest.raises(InvalidRequest, match="refuses the tool 'other'"):
        refusing.render(
            (ASKED,),
            (Tool("one", "", {"properties": {"city": {"enum": ["a"]}}}), Tool("other", "", {})),
        )
