"""Odd tools, as the templates of real families are given them."""

from functools import cache

import pytest

from models import chat
from models.chat import Message, Text, Tool, ToolCall, ToolResult
from models.engine.template import ChatTemplate
from models.model_family import family_of
from tests.conftest import TESTDATA
from tests.odd_tools import NAMES, SCHEMAS

FOLDER = TESTDATA / "chat-templates"
# Those that look into the schemas of tools, and one that does not.
FAMILIES = (
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "GigaChat3.1-10B-A1.8B",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-Qwen3-0.6B",
    "google-gemma-4-31B-it",
    "meetkai-functionary-medium-v3.1",
)
WEATHER = Tool("get_weather", "Look.", SCHEMAS["$ref"])
ASKED = chat.user("How is it?")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no chat templates here")


@cache
def template(family: str) -> ChatTemplate:
    source = (FOLDER / f"{family}.jinja").read_text(encoding="utf-8")
    assert family_of(source).calls
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>")


def result(id: str, text: str) -> Message:
    return Message("tool", (ToolResult(id, (Text(text),), "get_weather"),))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_lawful_schema_is_rendered(family: str) -> None:
    rendering = template(family)

    for what, schema in SCHEMAS.items():
        text = rendering.render((ASKED,), (Tool("odd_tool", "Look.", schema),))

        assert "odd_tool" in text, what
    for name in NAMES:
        used = Message("assistant", (ToolCall("1", name, "{}"),))
        said = Message("tool", (ToolResult("1", (Text("SUN"),), name),))
        assert name in rendering.render((ASKED, used, said), (Tool(name, "Look.", {}),))


@pytest.mark.parametrize("family", ["Apertus-8B-Instruct", "MiniMax-M2"])
def test_a_result_of_no_call_is_told_where_a_template_refuses_it(family: str) -> None:
    assert "SUN" in template(family).render((result("1", "SUN"), ASKED), (WEATHER,))


def test_who_stumbles_over_a_schema_is_given_it_plainly() -> None:
    maybe = {"type": ["string", "null"], "description": "A city."}
    schema = {"type": "object", "properties": {"city": maybe, "more": True}}

    text = template("NousResearch-Hermes-3-Llama-3.1-8B-tool_use").render(
        (ASKED,), (Tool("look", "Look.", schema),)
    )

    assert "look(city: str, more: " in text
