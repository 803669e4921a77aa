"""One recorded list of events goes through every family: nothing of it is lost on any wire."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from models.events import (
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from models.reply import Reply
from server.answer import Asked
from server.fields import Json
from server.formats import anthropic, ollama
from server.formats.openai import chat as openai_chat
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.requests import Kept, draft, read
from server.framing import line

H = TokenLogprob(5, b"H", -0.5, (TokenLogprob(5, b"H", -0.5), TokenLogprob(6, b"\xe2", -1.5)))
RECORDED: list[Event] = [
    Progress(Stage.LOADING, 1, 2),
    Started(26),
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    TextDelta("H", (H,)),
    TextDelta("i "),
    ToolCallDelta(0, id="call_a", name="weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Bern"}'),
    ToolCallDelta(1, "{}", id="call_b", name="time"),
    Finished(FinishReason.TOOL_CALLS, Usage(prompt_tokens=26, completion_tokens=9)),
]
LOGPROBS: list[Json] = [
    {
        "token": "H",
        "logprob": -0.5,
        "bytes": [72],
        "top_logprobs": [
            {"token": "H", "logprob": -0.5, "bytes": [72]},
            {"token": "\ufffd", "logprob": -1.5, "bytes": [226]},
        ],
    }
]
HI = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Said:
    """What a client reads out of an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, Json]] = field(default_factory=list[tuple[str, str, Json]])
    logprobs: list[Json] = field(default_factory=list[Json])


def read_ollama(objects: list[Json]) -> Said:
    said = Said()
    for each in objects:
        place = each.get("message", each)
        said.text += place.get("content", place.get("response", ""))
        said.reasoning += place.get("thinking", "")
        for call in place.get("tool_calls", []):
            function = call["function"]
            assert function["index"] == len(said.calls)
            said.calls.append((call["id"], function["name"], function["arguments"]))
        said.logprobs += each.get("logprobs", [])
    assert [each["done"] for each in objects] == [False] * (len(objects) - 1) + [True]
    assert objects[-1]["done_reason"] == "stop"
    return said


def read_openai(objects: list[Json]) -> Said:
    said, calls = Said(), list[list[str]]()
    for each in objects:
        [choice] = each["choices"]
        place = choice.get("delta") or choice.get("message") or {}
        said.text += place.get("content", "")
        said.reasoning += place.get("reasoning_content", "")
        assert place.get("reasoning") == place.get("reasoning_content")
        for call in place.get("tool_calls", []):
            if call["index"] == len(calls):
                calls.append([call["id"], call["function"]["name"], ""])
            else:
                assert "id" not in call and "name" not in call["function"]
            calls[call["index"]][2] += call["function"]["arguments"]
        said.logprobs += (choice["logprobs"] or {"content": []})["content"]
    assert objects[-1]["choices"][0]["finish_reason"] == "tool_calls"
    said.calls = [(id, name, json.loads(arguments)) for id, name, arguments in calls]
    return said


def read_anthropic(objects: list[Json]) -> Said:
    said, inputs = Said(), dict[int, str]()
    if objects[0]["type"] == "message":
        blocks, end = objects[0]["content"], objects[0]
    else:
        blocks = [each["content_block"] for each in objects if "content_block" in each]
        [end] = [each["delta"] for each in objects if each["type"] == "message_delta"]
        assert objects[-1] == {"type": "message_stop"}
    deltas = [each for each in objects if each["type"] == "content_block_delta"]
    for place in (*blocks, *(each["delta"] for each in deltas)):
        said.text += place.get("text", "")
        said.reasoning += place.get("thinking", "")
    for each in deltas:
        piece = each["delta"].get("partial_json", "")
        inputs[each["index"]] = inputs.get(each["index"], "") + piece
    for index, block in enumerate(blocks):
        if block["type"] == "tool_use":
            input = json.loads(inputs[index]) if index in inputs else block["input"]
            said.calls.append((block["id"], block["name"], input))
    assert end["stop_reason"] == "tool_use"
    return said


def ask_responses() -> Asked:
    weather, time = ({"type": "function", "name": name} for name in ("weather", "time"))
    wanted = read(draft({"model": "tiny", "input": "hi", "tools": [weather, time]}), Kept())
    return Asked(request=wanted.request, stream=True, encoder=Encoder(wanted))


def read_responses(objects: list[Json]) -> Said:
    said, end = Said(), objects[-1].get("response", objects[-1])
    if len(objects) > 1:
        for each in objects:
            if each["type"] == "response.output_text.delta":
                said.text += each["delta"]
                said.logprobs += each["logprobs"]
            if each["type"] == "response.reasoning_text.delta":
                said.reasoning += each["delta"]
    for item in end["output"]:
        match item:
            case {"type": "message", "content": [part]} if len(objects) == 1:
                said.text, said.logprobs = part["text"], part["logprobs"]
            case {"type": "reasoning", "content": [part]} if len(objects) == 1:
                said.reasoning = part["text"]
            case {"type": "function_call"}:
                said.calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
            case _:
                pass
    assert end["status"] == "completed"
    return said


FAMILIES: dict[str, tuple[Callable[[], Asked], Callable[[list[Json]], Said]]] = {
    "openai_chat": (lambda: openai_chat.parse(HI), read_openai),
    "ollama_chat": (lambda: ollama.parse_chat(HI), read_ollama),
    "ollama_generate": (
        lambda: ollama.parse_generate({"model": "tiny", "prompt": "hi"}),
        read_ollama,
    ),
    "openai_responses": (ask_responses, read_responses),
    "anthropic": (lambda: anthropic.parse(HI | {"max_tokens": 9}), read_anthropic),
}
WITHOUT_LOGPROBS = {"anthropic"}


def streamed(asked: Asked) -> list[Json]:
    return [json.loads(line(chunk)) for event in RECORDED for chunk in asked.encoder.encode(event)]


def whole(asked: Asked) -> list[Json]:
    reply = Reply()
    for event in RECORDED:
        reply.take(event)
    end = RECORDED[-1]
    assert isinstance(end, Finished)
    return [asked.encoder.whole(reply, end)]


@pytest.mark.parametrize("answer", [streamed, whole])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_lost(family, answer):
    parse, read = FAMILIES[family]

    objects = answer(parse())

    said = read(objects)
    assert said.text == "Hi "
    assert said.reasoning == "Let me see."
    assert said.calls == [("call_a", "weather", {"city": "Bern"}), ("call_b", "time", {})]
    assert said.logprobs == ([] if family in WITHOUT_LOGPROBS else LOGPROBS)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_end_has_a_word(family):
    parse, _ = FAMILIES[family]

    for reason in FinishReason:
        *_, last = parse().encoder.encode(Finished(reason))
        assert last


def test_who_asks_with_functions_is_answered_in_kind():
    asked = openai_chat.parse(HI | {"functions": [{"name": "weather"}]})

    chunks = streamed(asked)
    [said] = whole(asked)

    calls = [
        call
        for chunk in chunks
        if (call := chunk["choices"][0]["delta"].get("function_call")) is not None
    ]
    assert calls[0] == {"name": "weather", "arguments": ""}
    assert calls[1] == {"arguments": '{"city":'}
    assert said["choices"][0]["message"]["function_call"] == {
        "name": "weather",
        "arguments": '{"city":"Bern"}',
    }
    for choice in (chunks[-1]["choices"][0], said["choices"][0]):
        assert choice["finish_reason"] == "function_call"


def test_arguments_that_are_no_object_do_not_end_an_ollama_stream():
    encoder = ollama.parse_chat(HI).encoder

    said = [
        json.loads(line(chunk))
        for event in (ToolCallDelta(0, "{oops", "a", "t"), Finished(FinishReason.TOOL_CALLS))
        for chunk in encoder.encode(event)
    ]

    assert said[0]["message"]["tool_calls"][0]["function"]["arguments"] == {"": "{oops"}
