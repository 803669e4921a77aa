"""Tools reach the template in the order in which they were sent: an equal prefix stays equal."""

import json
from typing import Any

import pytest

from models.chat import GenerateRequest
from models.engine.template import ChatTemplate
from server import strict_json
from server.answer import Asked
from server.formats import anthropic, ollama
from server.formats.openai import chat as openai_chat

TEMPLATE = ChatTemplate("{{ tools | tojson }}", bos_token="", eos_token="")
HI = [{"role": "user", "content": "hi"}]
# No key stands where sorting would put it.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["zone", "at"],
    "properties": {
        "zone": {"type": "string", "enum": ["utc", "local", "gmt"], "description": "Which."},
        "at": {"type": "object", "properties": {"b": {"type": "number"}, "a": {"type": "null"}}},
    },
    "additionalProperties": False,
    "$schema": "http://json-schema.org/draft-07/schema#",
}
FUNCTIONS = [
    {"name": name, "description": f"Tell the {name}.", "parameters": SCHEMA}
    for name in ("time", "clock", "alarm")
]
OPENAIS = [{"type": "function", "function": function} for function in FUNCTIONS]
ANTHROPICS = [
    {"name": each["name"], "description": each["description"], "input_schema": SCHEMA}
    for each in FUNCTIONS
]


@pytest.mark.parametrize(
    ("parse", "tools"),
    [
        (openai_chat.parse, OPENAIS),
        (ollama.parse_chat, OPENAIS),
        (anthropic.parse, ANTHROPICS),
    ],
)
def test_the_order_of_tools_and_of_their_keys_is_that_of_the_body(
    parse: Any, tools: list[Any]
) -> None:
    raw = json.dumps({"model": "tiny", "messages": HI, "max_tokens": 5, "tools": tools})

    asked: Asked = parse(strict_json.parse(raw.encode()))

    assert isinstance(asked.request, GenerateRequest)
    assert isinstance(asked.request.prompt, tuple)
    rendered = TEMPLATE.render(asked.request.prompt, asked.request.tools, None)
    assert rendered == json.dumps(OPENAIS)
