"""Ollama's generate and chat: https://github.com/ollama/ollama/blob/main/docs/api.md

Everything that the wire can say is read; whether the model can do it is asked elsewhere.
"""

from dataclasses import replace

from models import chat
from models.chat import (
    GenerateRequest,
    LoadRequest,
    Message,
    Overflow,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    ToolResult,
    UnloadRequest,
)
from models.errors import InvalidRequest, ModelNotFound
from models.go_jinja import to_jinja
from server.answer import Asked
from server.content import read_content
from server.contract import Route, settle
from server.fields import Fields, Json
from server.formats.ollama.contract import CHAT, GENERATE
from server.formats.ollama.encoder import Encoder, Say, say_message, say_response
from server.formats.ollama.fields import (
    Options,
    placed,
    read_constraint,
    read_context_length,
    read_images,
    read_options,
    read_shift,
    read_thinking,
    read_top_logprobs,
)
from server.keep_alive import read_keep_alive
from server.template_variables import read_template_variables
from server.tools import read_tool_calls, read_tools

_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MOST_TOKEN_ID = (1 << 31) - 1

# -- Requests ------------------------------------------------------------------


def parse_generate(body: Json) -> Asked:
    """Raises InvalidRequest, ModelNotFound."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise ModelNotFound("")
    options = read_options(fields)
    template = fields.text("template")
    prompt = _generate_prompt(fields)
    context = _read_context(fields)
    raw = fields.flag("raw")
    if raw and (template or fields.text("system") or context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    suffix = fields.text("suffix") or ""
    asked = _request(fields, model, options, prompt)
    if isinstance(asked, GenerateRequest):
        asked = replace(
            asked,
            preceding_tokens=context,
            suffix=suffix,
            template=to_jinja(template) if template else None,
            want_tokens=not raw,
        )
    return _asked(fields, asked, say_response, GENERATE, "generate")


def parse_chat(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required")
    options = read_options(fields)
    messages = tuple(_message(each) for each in fields.objects("messages") or ())
    asked = _request(fields, model, options, messages)
    tools = read_tools(fields)
    if isinstance(asked, GenerateRequest):
        asked = replace(asked, tools=tools)
    return _asked(fields, asked, say_message, CHAT, "chat")


def _asked(fields: Fields, asked: Request, say: Say, route: Route, deed: str) -> Asked:
    """Call it last: it asks the fields which of them nobody has read."""
    stream = fields.flag("stream") is not False and isinstance(asked, GenerateRequest)
    encoder = Encoder(asked.model, say)
    return Asked(
        request=asked,
        stream=stream,
        encoder=encoder,
        ignored=settle(fields, route),
        deed=deed,
        ping=encoder.ping,
    )


def _request(
    fields: Fields, model: str, options: Options, prompt: tuple[Message, ...] | str
) -> Request:
    read_shift(fields)
    keep_alive = read_keep_alive(fields)
    context_length = read_context_length(fields) or options.context_length
    asked = GenerateRequest(
        model=model,
        prompt=prompt,
        thinking=read_thinking(fields),
        template_variables=read_template_variables(fields),
        constraint=read_constraint(fields),
        sampling=options.sampling,
        max_tokens=options.max_tokens,
        stop=options.stop,
        top_logprobs=read_top_logprobs(fields),
        context_length=context_length,
        overflow=Overflow.REFUSE if fields.flag("truncate") is False else Overflow.TRUNCATE,
        keep_alive_seconds=keep_alive,
    )
    if prompt:
        return asked
    if keep_alive == 0:
        return UnloadRequest(model=model)
    return LoadRequest(model=model, context_length=context_length, keep_alive_seconds=keep_alive)


def _generate_prompt(fields: Fields) -> tuple[Message, ...] | str:
    prompt = fields.text("prompt") or ""
    system = fields.text("system") or ""
    images = read_images(fields)
    if not prompt and not images:
        return ""
    if fields.flag("raw"):
        if images:
            raise InvalidRequest('"images" cannot be given with "raw".', field="images")
        return prompt
    before = (chat.system(system),) if system else ()
    left, said = placed(images, (Text(prompt),))
    return (*before, Message("user", (*left, *said)))


def _read_context(fields: Fields) -> tuple[int, ...]:
    ids = fields.array("context") or []
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
    thought = fields.text("thinking")
    # In Ollama's order, which here is another one than in a prompt of ``generate``.
    left, said = placed(read_images(fields), read_content(fields) or (Text(""),))
    content = (*said, *left)
    calls = read_tool_calls(fields)
    if _ROLES[role.lower()] == "tool":
        call_id, name = fields.text("tool_call_id"), fields.text("tool_name")
        return Message("tool", (ToolResult(call_id or "", content, name or ""),))
    before: tuple[Part, ...] = (Reasoning(thought),) if thought else ()
    return Message(_ROLES[role.lower()], (*before, *content, *calls))
