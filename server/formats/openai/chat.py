"""Chat completions: https://platform.openai.com/docs/api-reference/chat

Everything that the wire can say is read; whether the model can do it is asked elsewhere.
"""

from collections.abc import Sequence

from quart import Blueprint, Response, request

from models.chat import GenerateRequest, Message, Part, Reasoning, Role, Text, ToolResult
from models.errors import InvalidRequest
from server.answer import Asked, answer
from server.body import read_asked
from server.content import read_content
from server.contract import settle
from server.fields import Fields, Json
from server.formats.openai.chat_encoder import Common, Encoder
from server.formats.openai.common_fields import (
    read_context_length,
    read_count,
    read_drawing,
    read_model,
    seeds_of,
    wants_usage,
)
from server.formats.openai.contract import CHAT
from server.formats.openai.tools import read_all_tools, read_calls
from server.keep_alive import read_keep_alive
from server.openai_fields import read_constraint, read_thinking, read_top_logprobs
from server.overflow import read_overflow
from server.sampling import read_stop
from server.streams import Streams
from server.template_variables import read_template_variables
from server.thinking_budget import read_thinking_budget, within
from server.tools import read_function_call
from server.voices import Choices
from server.wires import OPENAI_CHAT

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


# -- Requests ------------------------------------------------------------------


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = read_model(fields)
    messages = fields.objects("messages")
    if not messages:
        raise InvalidRequest("[] is too short - 'messages'")
    if any(each != "text" for each in fields.array("modalities") or ()):
        raise InvalidRequest(
            "\"modalities\" is not supported but for 'text': nothing here speaks.",
            field="modalities",
        )
    tools = read_all_tools(fields)
    thinking, wish = read_thinking(fields)
    budget = read_thinking_budget(fields)
    asked = GenerateRequest(
        model=model,
        prompt=_Messages(messages).read(),
        tools=tools.tools,
        tool_choice=tools.choice,
        thinking=within(thinking, budget),
        thinking_budget=budget,
        template_variables=read_template_variables(fields),
        constraint=read_constraint(fields),
        sampling=read_drawing(fields),
        max_tokens=_limit(fields),
        stop=read_stop(fields),
        top_logprobs=read_top_logprobs(fields),
        context_length=read_context_length(fields),
        overflow=read_overflow(fields),
        keep_alive_seconds=read_keep_alive(fields),
    )
    count = read_count(fields, "n") or 1
    common = Common(
        model,
        choices=count,
        with_usage=wants_usage(fields),
        legacy=tools.legacy,
        texts=tools.texts,
    )
    encoders = tuple(Encoder(common, index) for index in range(count))
    return Asked(
        request=asked,
        stream=bool(fields.flag("stream")),
        encoder=encoders[0],
        choices=_choices(asked, common, encoders) if count > 1 else None,
        ignored=settle(fields, CHAT),
        wish=wish,
    )


def _limit(fields: Fields) -> int | None:
    limits = [fields.integer(name, least=1) for name in ("max_completion_tokens", "max_tokens")]
    return limits[0] or limits[1]


def _choices(request: GenerateRequest, common: Common, encoders: tuple[Encoder, ...]) -> Choices:
    return Choices(
        requests=(request,),
        seeds=seeds_of(request.sampling, len(encoders)),
        encoders=encoders,
        whole=common.whole,
    )


class _Messages:
    """Reads a conversation, in which a tool's result names its call by id alone."""

    def __init__(self, messages: Sequence[Fields]) -> None:
        self._messages = messages
        self._tools: dict[str, str] = {}  # name of the tool, by id of the call

    def read(self) -> tuple[Message, ...]:
        """Raises InvalidRequest."""
        return tuple(self._message(each) for each in self._messages)

    def _message(self, fields: Fields) -> Message:
        said = fields.required_text("role")
        role = _ROLES.get(said)
        if role is None:
            name = fields.name("role")
            known = ", ".join(_ROLES)
            raise InvalidRequest(f'"{name}" must be one of {known}, not {said[:40]!r}.', field=name)
        if role == "assistant":
            return Message("assistant", self._assistant_parts(fields))
        content = read_content(fields)
        if content is None:
            if not fields.has("content"):
                raise fields.missing("content")
            raise fields.wrong("content", "a string or a list of parts", None)
        if role == "tool":
            id = fields.text("tool_call_id") or ""
            name = fields.text("name") or self._tools.get(id, "")
            return Message("tool", (ToolResult(id, content, name),))
        return Message(role, content)

    def _assistant_parts(self, fields: Fields) -> tuple[Part, ...]:
        thought = fields.text("reasoning_content") or fields.text("reasoning")
        fields.value("reasoning")  # the same again, as we send both
        calls = read_calls(fields)
        self._tools |= {call.id: call.name for call in calls}
        old = fields.inner("function_call")
        if old:
            calls = (*calls, read_function_call(old))
        content = read_content(fields)
        if fields.text("refusal") and not content:
            content = (Text(fields.required_text("refusal")),)
        before = (Reasoning(thought),) if thought else ()
        return (*before, *(content or (() if calls else (Text(""),))), *calls)


# -- Routes --------------------------------------------------------------------


def add_routes(blueprint: Blueprint, streams: Streams) -> None:
    @blueprint.post("/v1/chat/completions")
    async def chat_completions() -> Response:
        asked = await read_asked(request, parse)
        return await answer(streams, OPENAI_CHAT, asked, request.headers)
