"""The tools of a chat: functions, in the new fields and in the old, and tools that take text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from models.chat import Tool, ToolCall, ToolChoice
from models.errors import InvalidRequest
from server.fields import Fields
from server.openai_fields import Mode, no_such_tool, read_mode
from server.text_tools import read_text_tool, text_call
from server.tools import read_call, read_function, read_tool

_Choice: TypeAlias = tuple[Mode, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Tools:
    """``legacy``: they came in the old fields; ``texts``: the names of those that take text."""

    tools: tuple[Tool, ...]
    choice: ToolChoice
    legacy: bool
    texts: frozenset[str]


def read_all_tools(fields: Fields) -> Tools:
    """Raises InvalidRequest."""
    texts: set[str] = set()
    old = fields.objects("functions")
    if (old or fields.has("function_call")) and not fields.array("tools"):
        tools = tuple(read_function(each) for each in old or ())
        mode, names = _choice(fields, "function_call", _named_by_itself)
    else:
        tools = tuple(_tool(each, texts) for each in fields.objects("tools") or ())
        mode, names = _choice(fields, "tool_choice", _named_in_kind)
    known = {tool.name for tool in tools}
    for name in names:
        if name not in known:
            raise no_such_tool(name)
    if mode == "required" and not tools:
        raise InvalidRequest(
            '"tool_choice" requires a call, and there are no tools.', field="tool_choice"
        )
    parallel = fields.flag("parallel_tool_calls") is not False
    return Tools(tools, ToolChoice(mode, names, parallel), bool(old), frozenset(texts))


def _tool(tool: Fields, texts: set[str]) -> Tool:
    if tool.text("type") != "custom":
        return read_tool(tool)
    custom = _inner(tool, "custom")
    read = read_text_tool(custom, custom.required_text("name"))
    texts.add(read.name)
    return read


def read_calls(message: Fields) -> tuple[ToolCall, ...]:
    """Return the calls that an assistant's message holds. Raises InvalidRequest."""
    return tuple(_call(each) for each in message.objects("tool_calls") or ())


def _call(call: Fields) -> ToolCall:
    if call.text("type") != "custom":
        return read_call(call)
    call.value("index")  # its place among the calls, which is the list's
    custom = _inner(call, "custom")
    name, text = custom.required_text("name"), custom.required_text("input")
    return text_call(call.text("id") or "", name, text)


def _inner(fields: Fields, name: str) -> Fields:
    inner = fields.inner(name)
    if inner is None:
        raise fields.missing(name)
    return inner


# -- Which of them may or must be called -------------------------------------------


def _choice(fields: Fields, name: str, named: Callable[[Fields], _Choice]) -> _Choice:
    value = fields.value(name)
    if value is None:
        return "auto", ()
    if isinstance(value, str):
        return read_mode(fields, name), ()
    inner = fields.inner(name)
    assert inner is not None
    return named(inner)


def _named_by_itself(tool: Fields) -> _Choice:
    return "required", (tool.required_text("name"),)


def _named_in_kind(choice: Fields) -> _Choice:
    kind = choice.required_text("type")
    if kind in ("function", "custom"):
        return _named_by_itself(_inner(choice, kind))
    if kind == "allowed_tools":
        allowed = _inner(choice, "allowed_tools")
        names = [
            name for each in allowed.objects("tools") or () for name in _named_in_kind(each)[1]
        ]
        return read_mode(allowed, "mode"), tuple(names)
    raise InvalidRequest(
        f'"{choice.name("type")}" {kind[:40]!r} is not supported: only functions and custom '
        "tools are.",
        field=choice.name("type"),
    )
