"""What Anthropic's clients ask for: the body of a request, and of a count of its tokens."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from models.chat import Constraint, GenerateRequest, JsonSchema, Thinking, Tool, ToolChoice
from models.errors import InvalidRequest
from server.answer import Asked
from server.fields import Fields, Json
from server.formats.anthropic.encoder import Encoder
from server.formats.anthropic.messages import Conversation, not_among
from server.keep_alive import read_keep_alive
from server.overflow import read_overflow
from server.sampling import read_limit, read_sampling

_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "required",
    "none": "none",
}
_EFFORTS: dict[str, Thinking] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_THINKING = ("enabled", "adaptive", "disabled")


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    asked, wish = _read_request(fields)
    limit = fields.integer("max_tokens") or 0
    if limit < 1:
        raise InvalidRequest("max_tokens is required and must be positive", field="max_tokens")
    asked = replace(
        asked,
        sampling=read_sampling(fields),
        max_tokens=limit,
        stop=tuple(text for text in fields.texts("stop_sequences") if text),
        # Not Anthropic's: how else would a client of theirs ask for it?
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        overflow=read_overflow(fields),
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=asked,
        stream=bool(fields.flag("stream")),
        encoder=Encoder(asked.model),
        ignored=tuple(fields.ignored()),
        wish=wish,
    )


def parse_count(body: Json) -> tuple[GenerateRequest, tuple[str, ...]]:
    """Return whose prompt is to be counted, and the fields that have no effect on that.

    Raises InvalidRequest.
    """
    fields = Fields(body)
    asked, _ = _read_request(fields)
    return asked, tuple(fields.ignored())


def _read_request(fields: Fields) -> tuple[GenerateRequest, str]:
    """Return all that makes the prompt, and the field that wishes for thinking."""
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required", field="model")
    messages = fields.objects("messages")
    if not messages:
        raise InvalidRequest("messages is required", field="messages")
    output = fields.inner("output_config") or Fields({})
    thinking, wish = _read_thinking(fields, output)
    tools = tuple(_tool(each) for each in fields.objects("tools") or () if _is_custom(each))
    asked = GenerateRequest(
        model=model,
        prompt=Conversation().read(fields, messages),
        tools=tools,
        tool_choice=_read_tool_choice(fields, tools),
        thinking=thinking,
        constraint=_read_constraint(output),
    )
    return asked, wish


def _read_thinking(fields: Fields, output: Fields) -> tuple[Thinking, str]:
    effort = output.text("effort")
    if effort is not None and effort not in _EFFORTS:
        raise not_among(output, "effort", _EFFORTS, effort)
    config = fields.inner("thinking")
    if config is None:
        return _EFFORTS.get(effort or ""), "output_config.effort"
    kind = config.required_text("type")
    if kind not in _THINKING:
        raise not_among(config, "type", _THINKING, kind)
    config.integer("budget_tokens", least=1)
    config.ignore("budget_tokens")
    if kind == "disabled":
        output.ignore("effort")
        return False, ""
    return _EFFORTS.get(effort or "", True), "thinking"


def _read_constraint(output: Fields) -> Constraint | None:
    form = output.inner("format")
    if form is None:
        return None
    kind = form.required_text("type")
    if kind != "json_schema":
        raise not_among(form, "type", ("json_schema",), kind)
    schema = form.inner("schema")
    if schema is None:
        raise form.missing("schema")
    return JsonSchema(schema.raw())


def _is_custom(tool: Fields) -> bool:
    """Others are known to Anthropic's models alone, and many run on their computers."""
    if (tool.text("type") or "custom") == "custom":
        return True
    tool.raw()
    tool.ignore("type")
    return False


def _tool(tool: Fields) -> Tool:
    schema = tool.inner("input_schema")
    if schema is None:
        raise tool.missing("input_schema")
    return Tool(
        name=tool.required_text("name"),
        description=tool.text("description") or "",
        parameters=schema.raw(),
        strict=bool(tool.flag("strict")),
    )


def _read_tool_choice(fields: Fields, tools: Sequence[Tool]) -> ToolChoice:
    choice = fields.inner("tool_choice")
    if choice is None:
        return ToolChoice()
    kind = choice.required_text("type")
    if kind not in _MODES:
        raise not_among(choice, "type", _MODES, kind)
    name = choice.required_text("name") if kind == "tool" else ""
    if kind == "tool" and name not in {tool.name for tool in tools}:
        raise InvalidRequest(
            f'"tool_choice.name" {name[:80]!r} is none of the tools.', field="tool_choice.name"
        )
    if _MODES[kind] == "required" and not tools:
        raise InvalidRequest(
            '"tool_choice" requires a call, and there are no tools.', field="tool_choice"
        )
    parallel = not choice.flag("disable_parallel_tool_use")
    return ToolChoice(_MODES[kind], (name,) if name else (), parallel)
