"""Tools and their calls, in the form that OpenAI's chat and Ollama's share."""

import json
from typing import Any

from models.chat import Tool, ToolCall
from models.errors import InvalidRequest
from server.fields import Fields


def read_tools(fields: Fields, name: str = "tools") -> tuple[Tool, ...]:
    """Raises InvalidRequest."""
    return tuple(read_tool(each) for each in fields.objects(name) or ())


def read_function(function: Fields) -> Tool:
    """Raises InvalidRequest."""
    parameters = function.inner("parameters")
    return Tool(
        name=function.required_text("name"),
        description=function.text("description") or "",
        parameters=parameters.raw() if parameters else None,
        strict=bool(function.flag("strict")),
    )


def read_tool_calls(message: Fields) -> tuple[ToolCall, ...]:
    """Return the calls that an assistant's message holds. Raises InvalidRequest."""
    return tuple(read_call(each) for each in message.objects("tool_calls") or ())


def read_function_call(function: Fields, *, id: str = "") -> ToolCall:
    """Raises InvalidRequest."""
    return ToolCall(id, function.required_text("name"), _arguments(function))


def read_tool(tool: Fields) -> Tool:
    """Read one that says which kind it is. Raises InvalidRequest."""
    return read_function(_function(tool))


def read_call(call: Fields) -> ToolCall:
    """Likewise."""
    function = _function(call)
    function.value("index")  # its place among the calls, which is the list's
    call.value("index")
    return read_function_call(function, id=call.text("id") or "")


def _function(fields: Fields) -> Fields:
    kind = fields.text("type") or "function"
    if kind != "function":
        name = fields.name("type")
        raise InvalidRequest(
            f'"{name}" {kind[:40]!r} is not supported: only functions are.', field=name
        )
    function = fields.inner("function")
    if function is None:
        raise fields.missing("function")
    return function


def _arguments(function: Fields) -> str:
    """An object, or the text of one."""
    value = function.value("arguments")
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        if not isinstance(_parsed(value), dict):
            raise function.wrong("arguments", "a JSON object in a string", value)
        return value
    inner = function.inner("arguments")
    return json.dumps(inner.raw() if inner else {}, ensure_ascii=False)


def _parsed(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
