"""Tools in Anthropic's words, and how they may be called."""

import re
from typing import Literal

from models.chat import Tool, ToolChoice
from models.errors import InvalidRequest
from server.fields import Fields
from server.formats.anthropic.cache import CacheMarks
from server.formats.anthropic.words import not_among, word

_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "required",
    "none": "none",
}
# Tools that Anthropic's models have learned, and those that run on its computers, have the day
# of their version in their names.
_ANTHROPICS = re.compile(r"[a-z][a-z0-9_]*_[0-9]{8}|mcp_toolset")


def read_tools(fields: Fields, marks: CacheMarks) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools, and how they may be called. Raises InvalidRequest."""
    tools: dict[str, Tool] = {}
    passed_over: set[str] = set()
    for each in fields.objects("tools") or ():
        marks.read(each)
        if _is_custom(each):
            tool = _tool(each)
            if tool.name in tools:
                name = each.name("name")
                raise InvalidRequest(
                    f'"{name}" {tool.name[:80]!r} is the name of another tool too.', field=name
                )
            tools[tool.name] = tool
        else:
            passed_over.add(str(each.raw().get("name", "")))
            each.ignore("type")
    return tuple(tools.values()), _read_choice(fields, set(tools), passed_over)


def _is_custom(tool: Fields) -> bool:
    kind = tool.text("type") or "custom"
    if kind != "custom" and not _ANTHROPICS.fullmatch(kind):
        raise not_among(tool, "type", ("custom",), kind)
    return kind == "custom"


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


def _read_choice(fields: Fields, known: set[str], passed_over: set[str]) -> ToolChoice:
    choice = fields.inner("tool_choice")
    if choice is None:
        return ToolChoice()
    kind = word(choice, "type", _MODES)
    name = choice.required_text("name") if kind == "tool" else ""
    if kind == "tool" and name not in known:
        why = "cannot be run here" if name in passed_over else "is none of the tools"
        raise InvalidRequest(f'"tool_choice.name" {name[:80]!r} {why}.', field="tool_choice.name")
    if _MODES[kind] == "required" and not known:
        raise InvalidRequest(
            '"tool_choice" requires a call, and there are no tools.', field="tool_choice"
        )
    parallel = not choice.flag("disable_parallel_tool_use")
    return ToolChoice(_MODES[kind], (name,) if name else (), parallel)
