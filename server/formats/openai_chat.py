"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from quart import Blueprint, Response, request

from models.chat import GenerateRequest, Message, Overflow, Role, Text
from models.errors import InvalidRequest
from models.events import Event, Finished, FinishReason, Started, TextDelta, Usage
from models.reply import Reply
from server.answer import Asked, End, answer
from server.body import read_json
from server.fields import Fields, Json
from server.keep_alive import read_keep_alive
from server.messages import read_content, refuse_unless_empty
from server.sampling import read_limit, read_sampling, read_stop
from server.streams import Streams
from server.wires import OPENAI_CHAT

FINISH_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.CANCELLED: "stop",
}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CONSTRAINTS = ("grammar", "json_schema", "web_search_options")


# -- Requests ------------------------------------------------------------------


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required")
    messages = fields.objects("messages")
    if not messages:
        raise InvalidRequest("[] is too short - 'messages'")
    _refuse_what_comes_later(fields)
    asked = GenerateRequest(
        model=model,
        prompt=tuple(_message(each) for each in messages),
        sampling=read_sampling(fields),
        max_tokens=read_limit(fields, "max_completion_tokens") or read_limit(fields, "max_tokens"),
        stop=read_stop(fields),
        context_length=_context_length(fields),
        overflow=Overflow.REFUSE,
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=asked,
        stream=bool(fields.flag("stream")),
        encoder=Encoder(model, with_usage=_wants_usage(fields)),
        ignored=tuple(fields.ignored()),
    )


def _wants_usage(fields: Fields) -> bool:
    options = fields.object("stream_options")
    return bool(options and options.flag("include_usage"))


def _context_length(fields: Fields) -> int | None:
    """Not OpenAI's: how else would a client of theirs ask for more?"""
    options = fields.object("options")
    inner = read_limit(options, "num_ctx") if options else None
    return read_limit(fields, "num_ctx") or inner


def _message(fields: Fields) -> Message:
    role = fields.text("role")
    if role is None:
        raise fields.missing("role")
    if role not in _ROLES:
        name = fields.name("role")
        known = ", ".join(_ROLES)
        raise InvalidRequest(f'"{name}" must be one of {known}, not {role[:40]!r}.', field=name)
    refuse_unless_empty(fields, "tool_calls")
    if fields.value("function_call") is not None:
        raise fields.not_yet("function_call")
    text = read_content(fields)
    if text is None and role != "assistant":
        if not fields.has("content"):
            raise fields.missing("content")
        raise fields.wrong("content", "a string or a list of parts", None)
    return Message(_ROLES[role], (Text(text or ""),))


def _refuse_what_comes_later(fields: Fields) -> None:
    refuse_unless_empty(fields, "tools", "functions")
    for name in ("tool_choice", "function_call"):
        if fields.value(name) not in (None, "none", "auto"):
            raise fields.not_yet(name)
    if (fields.whole("n", least=1, most=128) or 1) != 1:
        raise fields.not_yet("n")
    if fields.flag("logprobs") or fields.whole("top_logprobs"):
        raise fields.not_yet("logprobs")
    response_format = fields.object("response_format")
    if response_format and response_format.text("type") != "text":
        raise fields.not_yet("response_format")
    if fields.value("logit_bias"):
        raise fields.not_yet("logit_bias")
    if any(each != "text" for each in fields.list("modalities") or ()):
        raise fields.not_yet("modalities")
    for name in _CONSTRAINTS:
        if fields.value(name) is not None:
            raise fields.not_yet(name)


# -- Answers -------------------------------------------------------------------


class Encoder:
    """Turns the events of one answer into chunks, or into one completion."""

    def __init__(self, model: str, *, with_usage: bool = False) -> None:
        self._head: Json = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama",  # some clients ask for it by name
        }
        self._with_usage = with_usage

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case Started():
                yield self._chunk({"role": "assistant", "content": ""})
            case TextDelta(text):
                yield self._chunk({"content": text})
            case Finished(reason, usage):
                yield self._chunk({}, FINISH_REASONS[reason])
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
            },
            "logprobs": None,
            "finish_reason": FINISH_REASONS[end.reason],
        }
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage_body(end.usage),
        }

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._with_usage else {}
        return {**self._head, "choices": [choice], **usage}


def usage_body(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


# -- Routes --------------------------------------------------------------------


def routes(streams: Streams) -> Blueprint:
    blueprint = Blueprint("openai_chat", __name__)

    @blueprint.post("/v1/chat/completions")
    async def completions() -> Response:
        asked = parse(await read_json(request))
        return await answer(streams, OPENAI_CHAT, asked, request.headers)

    return blueprint
