"""Messages and tools as a chat template wants to be given them, by its dialect and family."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias, cast

from models.chat import Image, Message, Part, Reasoning, Text, Tool, ToolCall, ToolResult
from models.engine.dialect import Dialect
from models.engine.written_calls import written
from models.model_family import ModelFamily

JSON: TypeAlias = dict[str, Any]


class Entries:
    """Makes the entries of a template's ``messages``."""

    def __init__(self, dialect: Dialect, family: ModelFamily) -> None:
        self._dialect = dialect
        self._row = None if dialect.reads_calls else family.calls

    def of(self, messages: tuple[Message, ...]) -> Iterator[JSON]:
        for message in messages:
            said: list[Part] = []
            for part in message.parts:
                if isinstance(part, ToolResult):
                    if said:
                        yield self._entry(message.role, said)
                        said = []
                    yield self._result(part)
                else:
                    said.append(part)
            if said or not message.parts:
                yield self._entry(message.role, said)

    def _entry(self, role: str, parts: list[Part]) -> JSON:
        calls = [part for part in parts if isinstance(part, ToolCall)]
        if calls and self._row:  # who reads no calls is given them as the model wrote them
            parts = [*parts, Text(written(calls, self._row))]
        silent = calls and self._dialect.calls_say_nothing and not _says(parts)
        entry: JSON = {"role": role, "content": None if silent else self._content(parts)}
        thought = "".join(part.text for part in parts if isinstance(part, Reasoning))
        if thought:
            # One thing under three names: gpt-oss' template has the second, Solar's the third.
            entry |= dict.fromkeys(("reasoning_content", "thinking", "reasoning"), thought)
        if calls:
            entry["tool_calls"] = [self._call(each) for each in calls]
        return entry

    def _content(self, parts: Sequence[Part]) -> str | list[JSON]:
        texts = [part.text for part in parts if isinstance(part, Text)]
        others = any(self._is_part(each) for each in parts)
        if self._dialect.takes_text and not (others and self._dialect.takes_parts):
            return "".join(texts)
        return [_part(each) for each in parts if isinstance(each, Text) or self._is_part(each)]

    def _is_part(self, part: Part) -> bool:
        """Whether it is told as a part of a message's content, and is no text."""
        thought = isinstance(part, Reasoning) and self._dialect.thoughts_as_parts
        return thought or isinstance(part, Image)

    def _result(self, result: ToolResult) -> JSON:
        parts = result.parts
        if result.is_error and "error" not in result.text[:_BEGINNING].lower():
            parts = (Text("Error: "), *parts)
        entry: JSON = {"role": self._dialect.role_of_results, "content": self._content(parts)}
        if result.call_id:
            entry["tool_call_id"] = result.call_id
        if result.name:
            entry["name"] = result.name
        return entry

    def _call(self, call: ToolCall) -> JSON:
        arguments: object = call.arguments
        if not self._dialect.arguments_as_text:
            with suppress(ValueError):  # a model wrote it, and may not have kept to the form
                arguments = json.loads(call.arguments)
        entry: JSON = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
        return {"id": call.id, **entry} if call.id else entry


_BEGINNING = 80  # characters in which whoever tells of an error says so


def _says(parts: Sequence[Part]) -> bool:
    return any(isinstance(part, Text | Image) for part in parts)


def _part(part: Part) -> JSON:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "thinking", "thinking": text}
        case _:
            return {"type": "image"}


def tool_entry(tool: Tool) -> JSON:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def functions_and_date(entries: Sequence[JSON]) -> JSON:
    """Return the variables that Firefunction's template has in place of ``tools``."""
    functions = [each["function"] for each in entries]
    return {
        "functions": json.dumps(functions, ensure_ascii=False, indent=4),
        # Of the time only the day: what stands behind it is read anew where it changes.
        "datetime": datetime.now().astimezone().date().isoformat(),
    }


def plain_entry(entry: JSON) -> JSON:
    """Return a tool in the plainest JSON Schema, for templates that stumble over what else it has.

    Each of its parameters has a description and, where one will do, a single type. That it may be
    null is not said: what is lawful, a grammar knows from the tool itself.
    """
    function: JSON = entry["function"]
    return {**entry, "function": {**function, "parameters": _plain(function["parameters"])}}


def _plain(schema: object) -> JSON:
    if not isinstance(schema, Mapping):
        return {}  # true: anything
    found: JSON = {**cast("Mapping[str, Any]", schema)}
    if isinstance(kinds := found.get("type"), list):
        said = [each for each in cast("list[object]", kinds) if each != "null"]
        found["type"] = said[0] if len(said) == 1 else said
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {
            name: {"description": "", **_plain(each)}
            for name, each in cast("JSON", properties).items()
        }
    if "items" in found:
        found["items"] = _plain(found["items"])
    return found
