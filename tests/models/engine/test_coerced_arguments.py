"""What a model put into quotes and meant otherwise becomes what the tool's schema says."""

import json
from itertools import pairwise
from typing import Any

import pytest

from models import chat
from models.chat import GenerateRequest, Tool
from models.engine.coerced_arguments import CoercedArguments
from models.engine.decoder import Decoder
from models.engine.generation import channel_of
from models.engine.prepared import Prompt
from models.events import FinishReason, ToolCallDelta
from models.model_family import family_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"Node": {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/Node"}}}},
    "properties": {
        "days": {"type": "integer"},
        "ratio": {"type": ["number", "null"]},
        "sure": {"type": "boolean"},
        "none": {"type": "integer", "nullable": True},
        "text": {"type": "string"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "anything": {},
        "level": {"enum": [1, 2]},
        "names": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "pair": {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
        "inner": {"properties": {"sure": {"type": "boolean"}}, "type": "object"},
        "node": {"$ref": "#/$defs/Node"},
        "more": {"additionalProperties": {"type": "integer"}},
        "several": {"allOf": [{"properties": {"n": {"type": "integer"}}}]},
    },
}
TOOLS = {"f": Tool("f", "", SCHEMA)}

# As the model wrote it, and as it is told; "": likewise.
SAID: dict[str, str] = {
    '{"days": "3"}': '{"days": 3}',
    '{"days":"-12" , "text":"3"}': '{"days":-12 , "text":"3"}',
    '{"ratio": "0.5"}': '{"ratio": 0.5}',
    '{"ratio": "null"}': '{"ratio": null}',
    '{"ratio": " 4 "}': '{"ratio": 4}',
    '{"sure": "true", "days": 3}': '{"sure": true, "days": 3}',
    '{"sure": "False"}': '{"sure": false}',
    '{"none": "None"}': '{"none": null}',
    '{"level": "2"}': '{"level": 2}',
    '{"numbers": ["1", 2, "3.5", "x"]}': '{"numbers": [1, 2, 3.5, "x"]}',
    '{"numbers": "[1, 2]"}': '{"numbers": [1, 2]}',
    '{"inner": {"sure": "true", "days": "3"}}': '{"inner": {"sure": true, "days": "3"}}',
    '{"inner": "{\\"sure\\": true}"}': '{"inner": {"sure": true}}',
    '{"node": {"n": "1", "next": {"n": "2", "next": {"n": "3"}}}}': (
        '{"node": {"n": 1, "next": {"n": 2, "next": {"n": 3}}}}'
    ),
    '{"more": {"a": "1"}}': '{"more": {"a": 1}}',
    '{"several": {"n": "1"}}': '{"several": {"n": 1}}',
    '{"names": ["1", "true"]}': "",
    '{"text": "3"}': "",
    '{"either": "3"}': "",
    '{"anything": "3", "unheard of": "3"}': "",
    '{"days": "three", "sure": "3"}': "",
    '{"days": "3.5"}': "",
    '{"days": ""}': "",
    '{"pair": ["1", "2"]}': "",
    '{"text": "\\"days\\": \\"3\\", {[", "days": 3}': "",
    '{"days": "3': "",  # cut off
    '{"days": "\\u0033"}': '{"days": 3}',
    "": "",
    '{"days": "3"}} "4"': '{"days": 3}} "4"',
    '"days": "3"': "",
    "]]}": "",
}


def told(written: str, *cuts: int, name: str = "f") -> str:
    arguments = CoercedArguments(TOOLS, name)
    ends = [0, *cuts, len(written)]
    pieces = [written[a:b] for a, b in pairwise(ends)]
    return "".join(map(arguments.feed, pieces)) + arguments.rest()


@pytest.mark.parametrize("written", SAID)
def test_what_is_meant_is_told_wherever_it_is_cut(written: str):
    expected = SAID[written] or written
    assert told(written) == expected
    assert told(written, *range(len(written))) == expected
    for place in range(len(written)):
        assert told(written, place) == expected, place


def test_what_no_quote_keeps_back_is_told_at_once():
    arguments = CoercedArguments(TOOLS, "f")

    assert arguments.feed('{"text": "abc') == '{"text": "abc'
    assert arguments.feed('d", "days": "') == 'd", "days": '
    assert arguments.feed("12") == ""
    assert arguments.feed('3"') == "123"
    assert arguments.feed(', "days": 4}') == ', "days": 4}'


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"properties": []},
        {"properties": {"days": True}},
        {"properties": {"days": {"anyOf": 3, "enum": 4}}},
        {"properties": {"days": {"$ref": "#/a/b"}}},
        {"$ref": "#"},
        {"properties": {"days": {"$ref": "#/properties/days"}}},
    ],
)
def test_a_schema_that_says_nothing_of_use_changes_nothing(schema: Any):
    arguments = CoercedArguments({"f": Tool("f", "", schema)}, "f")
    assert arguments.feed('{"days": "3"}') == '{"days": "3"}'


def test_a_tool_that_nobody_knows_keeps_its_arguments():
    assert json.loads(told('{"days": "3"}', name="g")) == {"days": "3"}


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        ("<tool_call>arguments", '<tool_call>{"name": "f", "arguments": %s}</tool_call>'),
        ("<|channel|><|message|>", "<|channel|>commentary to=functions.f<|message|>%s<|call|>"),
        ("[TOOL_CALLS][ARGS]", "[TOOL_CALLS]f[ARGS]%s"),
    ],
)
def test_so_it_is_in_the_calls_of_every_family(template: str, answer: str):
    request = GenerateRequest(model="any", prompt=(chat.user("hi"),), tools=(TOOLS["f"],))
    whole = answer % '{"days": "3", "text": "3"}'
    cut = whole[: whole.index('3", "text"') + 1]

    def arguments(text: str) -> str:
        channel = channel_of(request, Prompt((1,), 100, family=family_of(template)))
        deltas = Decoder((), channel).feed(text.encode(), FinishReason.MAX_TOKENS)[0]
        return "".join(each.arguments for each in deltas if isinstance(each, ToolCallDelta))

    assert arguments(whole) == '{"days": 3, "text": "3"}'
    assert arguments(cut) == '{"days": "3'
