"""Ollama's generate and chat: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from quart import Blueprint, Response, request

from models import chat
from models.chat import (
    GenerateRequest,
    LoadRequest,
    Message,
    Overflow,
    Request,
    Role,
    Text,
    UnloadRequest,
)
from models.errors import InvalidRequest, ModelNotFound
from models.events import Event, Finished, FinishReason, Loaded, TextDelta, Unloaded, Usage
from models.reply import Reply
from server.answer import Asked, End, answer
from server.body import read_json
from server.clock import now
from server.fields import Fields, Json
from server.go_template import render
from server.keep_alive import read_keep_alive
from server.messages import read_content, refuse_unless_empty
from server.ollama_fields import Options, read_options, read_thinking, refuse_what_comes_later
from server.streams import Streams
from server.wires import OLLAMA

_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
DONE_REASONS = {
    FinishReason.END_OF_TURN: "stop",
    FinishReason.STOP_STRING: "stop",
    FinishReason.MAX_TOKENS: "length",
    FinishReason.CANCELLED: "stop",
}
_MOST_TOKEN_ID = (1 << 31) - 1

Say: TypeAlias = Callable[[str], Json]
"""Puts a piece of the answer where the route has it."""


# -- Requests ------------------------------------------------------------------


def parse_generate(body: Json) -> Asked:
    """Raises InvalidRequest, ModelNotFound."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise ModelNotFound("")
    refuse_what_comes_later(fields)
    refuse_unless_empty(fields, "images")
    options = read_options(fields)
    prompt = _generate_prompt(fields)
    context = _read_context(fields)
    raw = fields.flag("raw")
    if raw and (fields.text("template") or fields.text("system") or context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    suffix = fields.text("suffix") or ""
    asked = _request(fields, model, options, prompt, context)
    if isinstance(asked, GenerateRequest):
        asked = replace(asked, suffix=suffix, want_tokens=not raw)
    return _asked(fields, asked, say_response, "generate")


def parse_chat(body: Json) -> Asked:
    """Raises InvalidRequest, ModelNotFound."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required")
    refuse_what_comes_later(fields)
    refuse_unless_empty(fields, "tools")
    options = read_options(fields)
    messages = tuple(_message(each) for each in fields.objects("messages") or ())
    return _asked(fields, _request(fields, model, options, messages, ()), say_message, "chat")


def _asked(fields: Fields, asked: Request, say: "Say", deed: str) -> Asked:
    """Call it last: it asks the fields which of them nobody has read."""
    stream = fields.flag("stream") is not False and isinstance(asked, GenerateRequest)
    return Asked(
        request=asked,
        stream=stream,
        encoder=Encoder(asked.model, say),
        ignored=tuple(fields.ignored()),
        deed=deed,
    )


def _request(
    fields: Fields,
    model: str,
    options: Options,
    prompt: tuple[Message, ...] | str,
    context: tuple[int, ...],
) -> Request:
    keep_alive = read_keep_alive(fields)
    truncate = fields.flag("truncate") is not False
    thinking = read_thinking(fields)
    if not prompt:
        if keep_alive == 0:
            return UnloadRequest(model=model)
        return LoadRequest(
            model=model, context_length=options.context_length, keep_alive_seconds=keep_alive
        )
    return GenerateRequest(
        model=model,
        prompt=prompt,
        preceding_tokens=context,
        thinking=thinking,
        sampling=options.sampling,
        max_tokens=options.max_tokens,
        stop=options.stop,
        context_length=options.context_length,
        overflow=Overflow.TRUNCATE if truncate else Overflow.REFUSE,
        keep_alive_seconds=keep_alive,
    )


def _generate_prompt(fields: Fields) -> tuple[Message, ...] | str:
    prompt = fields.text("prompt") or ""
    system = fields.text("system") or ""
    template = fields.text("template")
    if fields.flag("raw") or not prompt:
        return prompt
    if template:
        return render(template, system=system, prompt=prompt)
    before = (chat.system(system),) if system else ()
    return (*before, chat.user(prompt))


def _read_context(fields: Fields) -> tuple[int, ...]:
    ids = fields.list("context") or []
    for each in ids:
        if isinstance(each, bool) or not isinstance(each, int) or not 0 <= each <= _MOST_TOKEN_ID:
            raise fields.wrong("context", "a list of token ids", ids)
    return tuple(ids)


def _message(fields: Fields) -> Message:
    role = fields.text("role")
    if role is None:
        raise fields.missing("role")
    if role.lower() not in _ROLES:
        name = fields.name("role")
        known = ", ".join(_ROLES)
        raise InvalidRequest(f'"{name}" must be one of {known}, not {role[:40]!r}.', field=name)
    refuse_unless_empty(fields, "images", "tool_calls")
    return Message(_ROLES[role.lower()], (Text(read_content(fields) or ""),))


# -- Answers -------------------------------------------------------------------


def say_response(text: str) -> Json:
    return {"response": text}


def say_message(text: str) -> Json:
    return {"message": {"role": "assistant", "content": text}}


class Encoder:
    """Turns the events of one answer into Ollama's objects, one a line or one in all."""

    def __init__(self, model: str, say: Say) -> None:
        self._model = model
        self._say = say

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case TextDelta(text):
                yield {**self._head(text), "done": False}
            case Finished() | Loaded() | Unloaded():
                yield self._last("", event)
            case _:
                pass  # Ollama has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        return self._last(reply.text, end)

    def _head(self, text: str) -> Json:
        return {"model": self._model, "created_at": now(), **self._say(text)}

    def _last(self, text: str, last: End) -> Json:
        done = {**self._head(text), "done": True}
        match last:
            case Loaded():
                return {**done, "done_reason": "load"}
            case Unloaded():
                return {**done, "done_reason": "unload"}
            case Finished(reason, usage, tokens):
                context = {} if tokens is None else {"context": list(tokens)}
                return {**done, "done_reason": DONE_REASONS[reason], **context, **_metrics(usage)}


def _metrics(usage: Usage) -> Json:
    total = usage.load_seconds + usage.prefill_seconds + usage.decode_seconds
    return {
        "total_duration": _nanoseconds(total),
        "load_duration": _nanoseconds(usage.load_seconds),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _nanoseconds(usage.prefill_seconds),
        "eval_count": usage.completion_tokens,
        "eval_duration": _nanoseconds(usage.decode_seconds),
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


# -- Routes --------------------------------------------------------------------


def routes(streams: Streams) -> Blueprint:
    blueprint = Blueprint("ollama", __name__)

    @blueprint.post("/api/generate")
    async def generate_route() -> Response:
        asked = parse_generate(await read_json(request))
        return await answer(streams, OLLAMA, asked, request.headers)

    @blueprint.post("/api/chat")
    async def chat_route() -> Response:
        asked = parse_chat(await read_json(request))
        return await answer(streams, OLLAMA, asked, request.headers)

    return blueprint
