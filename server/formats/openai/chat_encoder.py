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
)
from models.reply import Reply
from server.answer import End
from server.fields import Json
from server.formats.openai.usage import Tally, timings_body, together, usage_body
from server.framing import Chunk, Template
from server.logprobs import token_body

FINISH_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CANCELLED: "stop",
}


class Common:
    """What all chunks of one answer have in common, whichever choice they are of.

    ``legacy``: who asked with ``functions`` is answered with ``function_call``.
    """

    def __init__(
        self, model: str, *, choices: int = 1, with_usage: bool = False, legacy: bool = False
    ) -> None:
        self.head: Json = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama",  # some clients ask for it by name
        }
        self.with_usage = with_usage
        self.legacy = legacy
        self.tally = Tally(choices, choices)

    def finish_reason(self, reason: FinishReason) -> str:
        said = FINISH_REASONS[reason]
        return "function_call" if self.legacy and said == "tool_calls" else said

    def whole(self, replies: Sequence[Reply]) -> Json:
        """Return the answer that is no stream, with a choice for each reply."""
        ends = [reply.finished or Finished(FinishReason.CANCELLED) for reply in replies]
        usage = together([end.usage for end in ends], len(ends))
        return {
            **self.head,
            "object": "chat.completion",
            "choices": [
                self._choice(index, reply, end)
                for index, (reply, end) in enumerate(zip(replies, ends, strict=True))
            ],
            "usage": usage_body(usage),
            "timings": timings_body(usage),
        }

    def _choice(self, index: int, reply: Reply, end: Finished) -> Json:
        return {
            "index": index,
            "message": {
                "role": "assistant",
                "content": reply.text,
                "refusal": None,
                "annotations": list[Any](),
                **(_reasoning(reply.reasoning) if reply.reasoning else {}),
                **self._calls(reply),
            },
            "logprobs": _logprobs(reply.tokens),
            "finish_reason": self.finish_reason(end.reason),
        }

    def _calls(self, reply: Reply) -> Json:
        functions = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
        if not functions:
            return {}
        if self.legacy:
            return {"function_call": functions[0]}
        calls = [
            {"index": index, "id": call.id or _call_id(), "type": "function", "function": function}
            for index, (call, function) in enumerate(zip(reply.tool_calls, functions, strict=True))
        ]
        return {"tool_calls": calls}


class Encoder:
    """Turns the events of one choice into chunks, or into a completion that has no other."""

    def __init__(self, common: Common, index: int = 0) -> None:
        self._common = common
        self._index = index
        self._text = Template(self._text_chunk, 1)

    def encode(self, event: Event) -> Iterable[Chunk]:
        if isinstance(event, TextDelta) and not event.tokens:  # nearly all are that
            return (self._text.fill(event.text),)
        return self._encode(event)

    def _encode(self, event: Event) -> Iterator[Chunk]:
        match event:
            case TextDelta(text, tokens):
                yield self._chunk({"content": text}, logprobs=_logprobs(tokens))
            case ReasoningDelta(text, tokens):
                yield self._chunk(_reasoning(text), logprobs=_logprobs(tokens))
            case Started():
                yield self._chunk({"role": "assistant", "content": ""})
            case ToolCallDelta():
                yield self._chunk(self._call_delta(event), logprobs=_logprobs(event.tokens))
            case Finished():
                yield from self._end(event)
            case _:
                pass  # OpenAI has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        return self._common.whole([reply])

    def _end(self, end: Finished) -> Iterator[Chunk]:
        """The timings are in the very last chunk, as llama.cpp's server has it."""
        last = self._chunk({}, self._common.finish_reason(end.reason))
        usage = self._common.tally.add(self._index, end.usage)
        timings: Json = {"timings": timings_body(usage)} if usage else {}
        if usage and self._common.with_usage:
            yield last
            yield {**self._common.head, "choices": [], "usage": usage_body(usage), **timings}
        else:
            yield last | timings

    def _chunk(
        self, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None
    ) -> Json:
        choice = {
            "index": self._index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        usage = {"usage": None} if self._common.with_usage else {}
        return {**self._common.head, "choices": [choice], **usage}

    def _text_chunk(self, text: str) -> Json:
        return self._chunk({"content": text})

    def _call_delta(self, delta: ToolCallDelta) -> Json:
        function = {"name": delta.name} if delta.name else {}
        function["arguments"] = delta.arguments
        if self._common.legacy:
            return {"function_call": function}
        first = {"id": delta.id or _call_id(), "type": "function"} if delta.name else {}
        return {"tool_calls": [{"index": delta.index, **first, "function": function}]}


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
