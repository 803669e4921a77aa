"""A conversation in Anthropic's words: messages of blocks."""

import json
import re
from collections.abc import Iterable, Sequence

from models.chat import Image, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from models.errors import InvalidRequest
from server.content import read_image
from server.fields import Fields

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_BLOCKS: dict[str, tuple[str, ...]] = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use"),
    "system": ("text", "tool_addition", "tool_removal"),
    "tool_result": ("text", "image", "document", "tool_reference"),
}

# Claude Code puts a line in front of its system text that is another in each request
# (anthropics/claude-code#50085): it is for Anthropic's books, and nothing behind it would be
# found in a prompt cache. See docs/decisions/prompt-prefixes.md.
_BILLING = re.compile(r"\A\s*x-anthropic-billing-header:[^\n]*\n*", re.IGNORECASE)


class Conversation:
    """Reads a conversation. Neighbours of one role are one message, as Anthropic has it."""

    def __init__(self) -> None:
        self._said: list[tuple[Role, list[Part]]] = []
        self._tools: dict[str, str] = {}  # name of the tool, by id of the call

    def read(self, fields: Fields, messages: Sequence[Fields]) -> tuple[Message, ...]:
        """Raises InvalidRequest."""
        if fields.value("system") is not None:
            self._take("system", _blocks(fields, "system"))
        for each in messages:
            said = each.required_text("role")
            if said not in _ROLES:
                raise not_among(each, "role", _ROLES, said)
            blocks = _blocks(each, "content")
            # An assistant may have had nothing to say.
            if not blocks and said != "assistant":
                name = each.name("content")
                raise InvalidRequest(f'"{name}" must not be empty.', field=name)
            self._take(_ROLES[said], blocks)
        if not self._said:
            raise InvalidRequest('"messages" must say something.', field="messages")
        return tuple(Message(role, tuple(parts)) for role, parts in self._said)

    def _take(self, role: Role, blocks: Sequence[Fields]) -> None:
        parts = [part for block in blocks if (part := self._part(role, block)) is not None]
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

    def _part(self, role: Role, block: Fields) -> Part | None:
        match _kind(block, role):
            case "thinking":
                block.text("signature")
                thought = block.required_text("thinking")
                return Reasoning(thought) if thought else None
            # Thoughts that nobody here can read, and tools that come and go: here all that
            # are listed are there from the beginning.
            case "redacted_thinking" | "tool_addition" | "tool_removal":
                block.raw()
                block.ignore("type")
                return None
            case "tool_use":
                return self._call(block)
            case "tool_result":
                return self._result(block)
            case "text" if role == "user" and not block.text("text"):
                name = block.name("text")
                raise InvalidRequest(f'"{name}" must not be empty.', field=name)
            case kind:
                return _content(kind, block, role)

    def _call(self, block: Fields) -> ToolCall:
        arguments = block.inner("input")
        if arguments is None:
            raise block.missing("input")
        id, name = block.required_text("id"), block.required_text("name")
        self._tools[id] = name
        return ToolCall(id, name, json.dumps(arguments.raw(), ensure_ascii=False))

    def _result(self, block: Fields) -> ToolResult:
        id = block.required_text("tool_use_id")
        blocks = _blocks(block, "content") if block.value("content") is not None else []
        parts = [_content(_kind(each, "tool_result"), each) for each in blocks]
        return ToolResult(
            call_id=id,
            parts=tuple(part for part in parts if part is not None),
            name=self._tools.get(id, ""),
            is_error=bool(block.flag("is_error")),
        )


def _blocks(fields: Fields, field: str) -> list[Fields]:
    """Return what is in a list, or what a string stands for: one block of text."""
    value = fields.value(field)
    if value is None:
        raise fields.missing(field)
    if value == "":
        return []
    if isinstance(value, str):
        return [Fields({"type": "text", "text": value}, fields.name(field))]
    if not isinstance(value, list):
        raise fields.wrong(field, "a string or a list of blocks", value)
    return fields.objects(field) or []


def _kind(block: Fields, place: str) -> str:
    kind = block.required_text("type")
    if kind not in _BLOCKS[place]:
        raise not_among(block, "type", _BLOCKS[place], kind)
    return kind


def _content(kind: str, block: Fields, place: str = "") -> Text | Image | None:
    if kind == "image":
        return _image(block)
    if kind == "document":
        return _document(block)
    if place == "system":
        text = _BILLING.sub("", block.required_text("text"))
        return Text(text) if text else None
    # A tool that was held back has been given to the model all the same: its name is enough.
    text = block.required_text("tool_name" if kind == "tool_reference" else "text")
    return Text(text) if text else None


def _image(block: Fields) -> Image:
    source = _source(block)
    match source.required_text("type"):
        case "base64":
            source.text("media_type")  # the picture itself tells
            return read_image(f"data:;base64,{source.required_text('data')}", source.name("data"))
        case "url":
            address = source.required_text("url")
            if not address.startswith(("http://", "https://")):
                raise InvalidRequest("invalid image input", field=source.name("url"))
            return Image(address)
        case kind:
            raise not_among(source, "type", ("base64", "url"), kind)


def _document(block: Fields) -> Text:
    source = _source(block)
    kind = source.required_text("type")
    if kind != "text":
        raise not_among(source, "type", ("text",), kind)
    source.text("media_type")
    return Text(source.required_text("data"))


def _source(block: Fields) -> Fields:
    source = block.inner("source")
    if source is None:
        raise block.missing("source")
    return source


def not_among(fields: Fields, field: str, known: Iterable[str], got: str) -> InvalidRequest:
    name = fields.name(field)
    return InvalidRequest(
        f'"{name}" must be one of {", ".join(known)}, not {got[:40]!r}.', field=name
    )
