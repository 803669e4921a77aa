"""Answers in the words of OpenAI's chat completions: chunks, or one completion."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from models.chat import ToolCall
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
from server.text_tools import text_of

FINISH_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CANCELLED: "stop",
}


class Common:
    """What all chunks of one answer have in common, whichever choice they are of.

    ``legacy``: who asked with ``functions`` is answered with ``function_call``. ``texts`` are
    the names of tools that take plain text.
    """

    def __init__(
        self,
        model: str,
        *,
        choices: int = 1,
        with_usage: bool = False,
        legacy: bool = False,
        texts: frozenset[str] = frozenset(),
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
        self.texts = texts
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
        if not reply.tool_calls:
            return {}
        if self.legacy:
            first = reply.tool_calls[0]
            return {"function_call": {"name": first.name, "arguments": first.arguments}}
        calls = [
            {"index": index, **self._call(call)} for index, call in enumerate(reply.tool_calls)
        ]
        return {"tool_calls": calls}

    def _call(self, call: ToolCall) -> Json:
        head = {"id": call.id or _call_id()}
        if call.name in self.texts:
            return head | _text_call(call.name, call.arguments)
        function = {"name": call.name, "arguments": call.arguments}
        return head | {"type": "function", "function": function}


class Encoder:
    """Turns the events of one choice into chunks, or into a completion that has no other."""

    def __init__(self, common: Common, index: int = 0) -> None:
        self._common = common
        self._index = index
        self._text = Template(self._text_chunk, 1)
        self._held: list[ToolCallDelta] = []  # of a call with plain text, until it is whole

    def encode(self, event: Event) -> Iterable[Chunk]:
        if isinstance(event, TextDelta) and not event.tokens:  # nearly all are that
            return (self._text.fill(event.text),)
        return self._encode(event)

    def _encode(self, event: Event) -> Iterator[Chunk]:
        if self._held and not (isinstance(event, ToolCallDelta) and not event.name):
            yield self._text_call()
        match event:
            case TextDelta(text, tokens):
                yield self._chunk({"content": text}, logprobs=_logprobs(tokens))
            case ReasoningDelta(text, tokens):
                yield self._chunk(_reasoning(text), logprobs=_logprobs(tokens))
            case Started():
                yield self._chunk({"role": "assistant", "content": ""})
            case ToolCallDelta() if self._held or event.name in self._common.texts:
                self._held.append(event)
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

    def _text_call(self) -> Json:
        """A text is known once the JSON around it is whole."""
        first, said = self._held[0], "".join(each.arguments for each in self._held)
        odds = _logprobs([token for each in self._held for token in each.tokens])
        self._held.clear()
        call = {"index": first.index, "id": first.id or _call_id()}
        return self._chunk({"tool_calls": [call | _text_call(first.name, said)]}, logprobs=odds)


def _text_call(name: str, arguments: str) -> Json:
    return {"type": "custom", "custom": {"name": name, "input": text_of(arguments)}}


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
