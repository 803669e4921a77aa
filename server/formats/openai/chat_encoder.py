"""Answers in the words of OpenAI's chat completions: chunks, or one completion."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from models.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.fields import Json
from server.framing import Chunk, Template
from server.logprobs import token_body

FINISH_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CANCELLED: "stop",
}


class Encoder:
    """Turns the events of one answer into chunks, or into one completion.

    ``legacy``: who asked with ``functions`` is answered with ``function_call``.
    """

    def __init__(self, model: str, *, with_usage: bool = False, legacy: bool = False) -> None:
        self._head: Json = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama",  # some clients ask for it by name
        }
        self._with_usage = with_usage
        self._legacy = legacy

        self._text = Template(self._text_chunk, 1)

    def encode(self, event: Event) -> Iterable[Chunk]:
        if isinstance(event, TextDelta) and not event.tokens:  # nearly all are that
            return (self._text.fill(event.text),)
        return self._encode(event)

    def _encode(self, event: Event) -> Iterator[Chunk]:
        match event:
            case TextDelta(text, tokens):
                yield self._chunk({"content": text}, logprobs=_logprobs(tokens))
            case ReasoningDelta(text):
                yield self._chunk(_reasoning(text))
            case Started():
                yield self._chunk({"role": "assistant", "content": ""})
            case ToolCallDelta():
                yield self._chunk(self._call_delta(event))
            case Finished(reason, usage):
                yield self._chunk({}, self._finish_reason(reason))
                if self._with_usage:
                    yield {**self._head, "choices": [], "usage": usage_body(usage)}
            case _:
                pass  # OpenAI has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        choice = {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": reply.text,
                "refusal": None,
                "annotations": list[Any](),
                **(_reasoning(reply.reasoning) if reply.reasoning else {}),
                **self._calls(reply),
            },
            "logprobs": _logprobs(reply.tokens),
            "finish_reason": self._finish_reason(end.reason),
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage_body(end.usage),
        }

    def _chunk(
        self, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None
    ) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        usage = {"usage": None} if self._with_usage else {}
        return {**self._head, "choices": [choice], **usage}

    def _text_chunk(self, text: str) -> Json:
        return self._chunk({"content": text})

    def _finish_reason(self, reason: FinishReason) -> str:
        said = FINISH_REASONS[reason]
        return "function_call" if self._legacy and said == "tool_calls" else said

    def _call_delta(self, delta: ToolCallDelta) -> Json:
        function = {"name": delta.name} if delta.name else {}
        function["arguments"] = delta.arguments
        if self._legacy:
            return {"function_call": function}
        first = {"id": delta.id or _call_id(), "type": "function"} if delta.name else {}
        return {"tool_calls": [{"index": delta.index, **first, "function": function}]}

    def _calls(self, reply: Reply) -> Json:
        functions = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
        if not functions:
            return {}
        if self._legacy:
            return {"function_call": functions[0]}
        calls = [
            {"index": index, "id": call.id or _call_id(), "type": "function", "function": function}
            for index, (call, function) in enumerate(zip(reply.tool_calls, functions, strict=True))
        ]
        return {"tool_calls": calls}


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _reasoning(text: str) -> Json:
    """Under both names that clients look for."""
    return {"reasoning": text, "reasoning_content": text}


def _logprobs(tokens: Sequence[TokenLogprob]) -> Json | None:
    if not tokens:
        return None
    content = [
        token_body(token) | {"top_logprobs": [token_body(each) for each in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def usage_body(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
