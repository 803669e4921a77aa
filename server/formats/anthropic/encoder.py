"""Answers in Anthropic's words: a stream of named events, or one message."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, cast

from models.chat import Part, Reasoning, Text, ToolCall
from models.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.fields import Json

STOP_REASONS = {
    FinishReason.END_OF_TURN: "end_turn",
    FinishReason.STOP_STRING: "stop_sequence",
    FinishReason.MAX_TOKENS: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CANCELLED: "end_turn",
}
# Clients drop a thought that has none. Nobody checks it: what comes back is taken as text.
_SIGNATURE = "inglenook"


class Encoder:
    """Turns the events of one answer into Anthropic's events, or into one message.

    A message is a row of blocks, of which the last is open while its deltas come.
    """

    def __init__(self, model: str) -> None:
        self._head: Json = {
            "id": _new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
        }
        self._begun = False
        self._index = 0  # of the block that is open, or comes next
        self._open: str | int | None = None  # "text", "thinking", or the index of a tool call

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case Started(prompt_tokens):
                yield from self._begin(prompt_tokens)
            case TextDelta(text):
                yield from self._go_on("text", {"type": "text", "text": ""})
                yield self._delta("text_delta", text=text)
            case ReasoningDelta(text):
                yield from self._go_on("thinking", _thinking_block("", signature=""))
                yield self._delta("thinking_delta", thinking=text)
            case ToolCallDelta(index, arguments, id, name):
                yield from self._go_on(index, _tool_block(id, name, {}))
                yield self._delta("input_json_delta", partial_json=arguments)
            case Finished():
                if not self._begun:  # cancelled before it started
                    yield from self._begin(0)
                yield from self._close()
                usage = usage_body(event.usage)
                yield {"type": "message_delta", "delta": _stop(event), "usage": usage}
                yield {"type": "message_stop"}
            case _:
                pass  # Anthropic has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        content = [_block(part) for part in reply.whole()]
        return {**self._head, "content": content, **_stop(end), "usage": usage_body(end.usage)}

    def _begin(self, prompt_tokens: int) -> Iterator[Json]:
        self._begun = True
        not_yet = {"content": list[Json](), "stop_reason": None, "stop_sequence": None}
        usage = usage_body(Usage(prompt_tokens))
        yield {"type": "message_start", "message": {**self._head, **not_yet, "usage": usage}}
        yield {"type": "ping"}

    def _go_on(self, kind: str | int, block: Json) -> Iterator[Json]:
        """Begin ``block``, unless what is open is of its kind."""
        if kind == self._open:
            return
        yield from self._close()
        self._open = kind
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _close(self) -> Iterator[Json]:
        if self._open is None:
            return
        if self._open == "thinking":
            yield self._delta("signature_delta", signature=_SIGNATURE)
        yield {"type": "content_block_stop", "index": self._index}
        self._open = None
        self._index += 1

    def _delta(self, kind: str, **said: str) -> Json:
        delta = {"type": kind, **said}
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def usage_body(usage: Usage) -> Json:
    """Anthropic counts what was found in a cache apart, where others count it twice."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,  # every prompt is kept: nobody has to ask for it
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _stop(end: Finished) -> Json:
    return {"stop_reason": STOP_REASONS[end.reason], "stop_sequence": end.stop_string}


def _block(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return _thinking_block(text, signature=_SIGNATURE)
        case ToolCall(id, name, arguments):
            return _tool_block(id, name, _input(arguments))
        case _:
            raise AssertionError(f"no model says {type(part).__name__}")


def _thinking_block(text: str, *, signature: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _tool_block(id: str, name: str, input: Json) -> Json:
    return {"type": "tool_use", "id": id or _new_id("toolu"), "name": name, "input": input}


def _input(arguments: str) -> Json:
    """Return an object, although what a model wrote may be none."""
    try:
        value: Any = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    return cast("Json", value) if isinstance(value, dict) else {"": arguments}


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"
