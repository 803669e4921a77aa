"""Answers in Ollama's words: the objects of generate and chat, one a line or one in all."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

from models.chat import ToolCall
from models.events import (
    Embedded,
    Event,
    Finished,
    FinishReason,
    Loaded,
    ReasoningDelta,
    Reranked,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Unloaded,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.clock import now
from server.fields import Json
from server.framing import Chunk, Template
from server.logprobs import token_body

DONE_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.TOOL_CALLS: "stop",
    FinishReason.CANCELLED: "stop",
}

Say: TypeAlias = Callable[..., Json]
"""Puts a piece of the answer, and what comes with it, where the route has it."""


def say_response(text: str, **more: object) -> Json:
    return {"response": text, **more}


def say_message(text: str, **more: object) -> Json:
    return {"message": {"role": "assistant", "content": text, **more}}


class Encoder:
    """Turns the events of one answer into Ollama's objects, one a line or one in all.

    A tool call is said when it is whole.
    """

    def __init__(self, model: str, say: Say) -> None:
        self._model = model
        self._say = say
        self._calls = Reply()  # of which the last may not be whole yet
        self._said = 0  # calls
        self._text = Template(self._text_line, 2)

    def encode(self, event: Event) -> Iterable[Chunk]:
        # Nearly all are that.
        if isinstance(event, TextDelta) and not event.tokens and not self._calls.parts:
            return (self._text.fill(now(), event.text),)
        return self._encode(event)

    def _encode(self, event: Event) -> Iterator[Chunk]:
        match event:
            case TextDelta(text, tokens):
                yield from self._new_calls()
                yield {**self._head(text), "done": False, **_logprobs(tokens)}
            case ReasoningDelta(text, tokens):
                yield from self._new_calls()
                yield {**self._head("", thinking=text), "done": False, **_logprobs(tokens)}
            case ToolCallDelta(index):
                if index >= self._said + len(self._calls.tool_calls):
                    yield from self._new_calls()
                self._calls.take(event)
            case Finished() | Loaded() | Unloaded():
                yield from self._new_calls()
                yield self._last(self._head(""), event)
            case _:
                pass  # Ollama has no word for it

    def ping(self) -> Chunk:
        """Say nothing: a line of an answer is all that Ollama's clients take for a sign of life."""
        return self._text.fill(now(), "")

    def whole(self, reply: Reply, end: End) -> Json:
        more: Json = {"thinking": reply.reasoning} if reply.reasoning else {}
        if reply.tool_calls:
            more["tool_calls"] = _calls(reply.tool_calls)
        last = self._last(self._head(reply.text, **more), end)
        return {**last, **_logprobs(reply.tokens)}

    def _head(self, text: str, **more: object) -> Json:
        return {"model": self._model, "created_at": now(), **self._say(text, **more)}

    def _text_line(self, created_at: str, text: str) -> Json:
        return {**self._head(text), "created_at": created_at, "done": False}

    def _new_calls(self) -> Iterator[Json]:
        if not self._calls.parts:
            return
        calls, self._calls = self._calls.tool_calls, Reply()
        tool_calls = _calls(calls, first=self._said)
        yield {**self._head("", tool_calls=tool_calls), "done": False}
        self._said += len(calls)

    def _last(self, head: Json, last: End) -> Json:
        done = {**head, "done": True}
        match last:
            case Loaded():
                return {**done, "done_reason": "load"}
            case Unloaded():
                return {**done, "done_reason": "unload"}
            case Finished(reason, usage, tokens):
                context = {} if tokens is None else {"context": list(tokens)}
                return {**done, "done_reason": DONE_REASONS[reason], **context, **_metrics(usage)}
            case Embedded() | Reranked():
                raise AssertionError("no answer in words ends so")


def _calls(calls: Sequence[ToolCall], *, first: int = 0) -> list[Json]:
    return [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": _arguments(call)},
        }
        for index, call in enumerate(calls, first)
    ]


def _arguments(call: ToolCall) -> Json:
    """An object, where OpenAI has its text. What a model wrote may be none."""
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    return cast("Json", arguments) if isinstance(arguments, dict) else {"": call.arguments}


def _logprobs(tokens: Sequence[TokenLogprob]) -> Json:
    return {"logprobs": [_logprob(token) for token in tokens]} if tokens else {}


def _logprob(token: TokenLogprob) -> Json:
    top = {"top_logprobs": [token_body(each) for each in token.top]} if token.top else {}
    return token_body(token) | top


def _metrics(usage: Usage) -> Json:
    total = usage.load_seconds + usage.prefill_seconds + usage.decode_seconds
    return {
        "total_duration": nanoseconds(total),
        "load_duration": nanoseconds(usage.load_seconds),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": nanoseconds(usage.prefill_seconds),
        "eval_count": usage.completion_tokens,
        "eval_duration": nanoseconds(usage.decode_seconds),
    }


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
