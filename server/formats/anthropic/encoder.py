"""Answers in Anthropic's words: a stream of named events, or one message."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from models.chat import Part, Reasoning, Text, ToolCall
from models.events import (
    Delta,
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
from server.formats.anthropic.cache import Lifetime, delta_usage, whole_usage
from server.formats.anthropic.thoughts import signature

STOP_REASONS = {
    FinishReason.END_OF_TURN: "end_turn",
    FinishReason.STOP_STRING: "stop_sequence",
    FinishReason.MAX_TOKENS: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CANCELLED: "end_turn",
}


class Encoder:
    """Turns the events of one answer into Anthropic's events, or into one message.

    A message is a row of blocks, of which the last is open while its deltas come.
    ``max_tokens`` is what the caller allowed: with 0 the prompt is read, and nothing said.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int | None = None,
        lifetime: Lifetime | None = None,
        shows_thoughts: bool = True,
    ) -> None:
        self._head: Json = {
            "id": _new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
        }
        self._max_tokens = max_tokens
        self._lifetime: Lifetime | None = lifetime
        self._shows_thoughts = shows_thoughts
        self._begun = False
        self._index = 0  # of the block that is open, or comes next
        self._open: str | int | None = None  # "text", "thinking", or the index of a tool call
        self._hidden = ""  # what is thought in the open block, and not shown

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case Started(prompt_tokens):
                yield from self._begin(prompt_tokens)
            case TextDelta() | ReasoningDelta() | ToolCallDelta():
                if self._max_tokens != 0:
                    yield from self._say(event)
            case Finished():
                if not self._begun:  # cancelled before it started
                    yield from self._begin(0)
                yield from self._close()
                usage = delta_usage(self._counted(event), self._lifetime)
                yield {"type": "message_delta", "delta": self._stop(event), "usage": usage}
                yield {"type": "message_stop"}
            case _:
                pass  # Anthropic has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        parts = reply.whole() if self._max_tokens != 0 else []
        return {
            **self._head,
            "content": [self._block(part) for part in parts],
            **self._stop(end),
            "usage": whole_usage(self._counted(end), self._lifetime),
        }

    def _begin(self, prompt_tokens: int) -> Iterator[Json]:
        self._begun = True
        not_yet = {"content": list[Json](), "stop_reason": None, "stop_sequence": None}
        # What of it is in a cache is not known yet: the last event has it.
        usage = whole_usage(Usage(prompt_tokens), self._lifetime)
        yield {"type": "message_start", "message": {**self._head, **not_yet, "usage": usage}}
        yield {"type": "ping"}

    def _say(self, delta: Delta) -> Iterator[Json]:
        match delta:
            case TextDelta(text):
                yield from self._go_on("text", {"type": "text", "text": ""})
                yield self._delta("text_delta", text=text)
            case ReasoningDelta(text):
                yield from self._go_on("thinking", _thinking_block("", ""))
                if self._shows_thoughts:
                    yield self._delta("thinking_delta", thinking=text)
                else:
                    self._hidden += text
            case ToolCallDelta(index, arguments, id, name):
                yield from self._go_on(index, _tool_block(id, name, {}))
                yield self._delta("input_json_delta", partial_json=arguments)

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
            signed = signature(self._hidden, shown=self._shows_thoughts)
            yield self._delta("signature_delta", signature=signed)
            self._hidden = ""
        yield {"type": "content_block_stop", "index": self._index}
        self._open = None
        self._index += 1

    def _delta(self, kind: str, **said: str) -> Json:
        delta = {"type": kind, **said}
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _block(self, part: Part) -> Json:
        match part:
            case Text(text):
                return {"type": "text", "text": text}
            case Reasoning(text):
                signed = signature(text, shown=self._shows_thoughts)
                return _thinking_block(text if self._shows_thoughts else "", signed)
            case ToolCall(id, name, arguments):
                return _tool_block(id, name, _input(arguments))
            case _:
                raise AssertionError(f"no model says {type(part).__name__}")

    def _counted(self, end: Finished) -> Usage:
        # To read a prompt and say nothing takes a token here, which nobody sees.
        return end.usage if self._max_tokens != 0 else replace(end.usage, completion_tokens=0)

    def _stop(self, end: Finished) -> Json:
        reason = STOP_REASONS[end.reason]
        allowed = self._max_tokens or 0
        if end.reason is FinishReason.MAX_TOKENS and end.usage.completion_tokens < allowed:
            reason = "model_context_window_exceeded"
        if self._max_tokens == 0:
            reason = "max_tokens"
        return {"stop_reason": reason, "stop_sequence": end.stop_string}


def _thinking_block(text: str, signed: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signed}


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
