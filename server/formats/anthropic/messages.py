"""A conversation in Anthropic's words: messages of blocks."""

import json
from collections.abc import Sequence

from models.chat import Image, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from models.errors import InvalidRequest
from server.fields import Fields
from server.formats.anthropic.blocks import read_blocks, read_content, read_system_text
from server.formats.anthropic.cache import CacheMarks
from server.formats.anthropic.thoughts import hidden_thought
from server.formats.anthropic.words import word

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
# What tools on Anthropic's computers were asked and said, thoughts that nobody here can read,
# files for those tools, and tools that come and go: here all that are listed are there from the
# beginning.
_PASSED_OVER = (
    "advisor_tool_result",
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "fallback",
    "mcp_tool_result",
    "mcp_tool_use",
    "redacted_thinking",
    "server_tool_use",
    "text_editor_code_execution_tool_result",
    "tool_addition",
    "tool_removal",
    "tool_search_tool_result",
    "web_fetch_tool_result",
    "web_search_tool_result",
)
_BLOCKS: dict[str, tuple[str, ...]] = {
    "user": ("text", "image", "document", "search_result", "tool_result", *_PASSED_OVER),
    "assistant": ("text", "thinking", "tool_use", "compaction", *_PASSED_OVER),
    "system": ("text", "tool_addition", "tool_removal"),
    "tool_result": ("text", "image", "document", "search_result", "tool_reference"),
}


class Conversation:
    """Reads a conversation. Neighbours of one role are one message, as Anthropic has it."""

    def __init__(self, marks: CacheMarks) -> None:
        self._marks = marks
        self._said: list[tuple[Role, list[Part]]] = []
        self._tools: dict[str, str] = {}  # name of the tool, by id of the call

    def read(self, fields: Fields, messages: Sequence[Fields]) -> tuple[Message, ...]:
        """Raises InvalidRequest."""
        if fields.value("system") is not None:
            self._take("system", read_blocks(fields, "system"))
        for each in messages:
            said = word(each, "role", _ROLES)
            blocks = read_blocks(each, "content")
            # An assistant may have had nothing to say.
            if not blocks and said != "assistant":
                name = each.name("content")
                raise InvalidRequest(f'"{name}" must not be empty.', field=name)
            self._take(_ROLES[said], blocks)
        if not self._said:
            raise InvalidRequest('"messages" must say something.', field="messages")
        return tuple(Message(role, tuple(parts)) for role, parts in self._said)

    def _take(self, role: Role, blocks: Sequence[Fields]) -> None:
        parts = [part for block in blocks for part in self._parts(role, block)]
        if self._said and parts:
            before, last = self._said[-1]
            if before == role and isinstance(last[-1], Text) and isinstance(parts[0], Text):
                last.append(Text("\n"))  # two messages are not one word
        for part in parts:
            if isinstance(part, ToolResult):
                self._said.append(("tool", [part]))
            elif self._said and self._said[-1][0] == role:
                self._said[-1][1].append(part)
            else:
                self._said.append((role, [part]))

    def _parts(self, role: Role, block: Fields) -> Sequence[Part]:
        self._marks.read(block)
        match word(block, "type", _BLOCKS[role]):
            case "thinking":
                carried = hidden_thought(block.text("signature") or "")
                thought = block.required_text("thinking") or carried
                return [Reasoning(thought)] if thought else []
            case "tool_use":
                return [self._call(block)]
            case "tool_result":
                return [self._result(block)]
            case kind if kind in _PASSED_OVER:
                block.raw()
                block.ignore("type")
                return []
            case "text" if role == "system":
                return read_system_text(block)
            case "text" if role == "user" and not block.text("text"):
                name = block.name("text")
                raise InvalidRequest(f'"{name}" must not be empty.', field=name)
            case kind:
                return read_content(kind, block, self._marks)

    def _call(self, block: Fields) -> ToolCall:
        arguments = block.inner("input")
        if arguments is None:
            raise block.missing("input")
        id, name = block.required_text("id"), block.required_text("name")
        self._tools[id] = name
        return ToolCall(id, name, json.dumps(arguments.raw(), ensure_ascii=False))

    def _result(self, block: Fields) -> ToolResult:
        id = block.required_text("tool_use_id")
        blocks = read_blocks(block, "content") if block.value("content") is not None else []
        return ToolResult(
            call_id=id,
            parts=tuple(part for each in blocks for part in self._said_by_tool(each)),
            name=self._tools.get(id, ""),
            is_error=bool(block.flag("is_error")),
        )

    def _said_by_tool(self, block: Fields) -> Sequence[Text | Image]:
        self._marks.read(block)
        return read_content(word(block, "type", _BLOCKS["tool_result"]), block, self._marks)
