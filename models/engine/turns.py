"""The turns of a chat: which belong together, and what templates with strict rules accept."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from models import chat
from models.chat import Message, Reasoning, Role, Text, ToolCall, ToolResult
from models.engine.json_scan import is_object
from models.engine.paired import loose_results

Rewrite = Callable[[tuple[Message, ...]], tuple[Message, ...]]

_BETWEEN = "\n\n"  # texts of one side that become one


def lawful(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return one system message first, then a user's, and no two neighbours of one side."""
    systems = [each for each in messages if each.role == "system"]
    others = [each for each in messages if each.role != "system"]
    if others and others[0].role != "user":
        others.insert(0, chat.user(""))
    return tuple(_merged([*systems, *others]))


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return lawful turns with the system message in front of the first user message."""
    first, *others = lawful(messages) or (chat.user(""),)
    if first.role != "system":
        return (first, *others)
    return tuple(_merged([Message("user", first.parts), *others]))


def with_short_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return lawful turns whose tool calls have ids of nine digits, as Mistral's must."""
    numbers: dict[str, str] = {}

    def short(call_id: str) -> str:
        return numbers.setdefault(call_id, f"{len(numbers):09}")

    def part(each: chat.Part) -> chat.Part:
        match each:
            case ToolCall(call_id, name, arguments):
                return ToolCall(short(call_id), name, arguments)
            case ToolResult(call_id, parts, name, is_error):
                return ToolResult(short(call_id), parts, name, is_error)
            case _:
                return each

    return tuple(Message(each.role, tuple(map(part, each.parts))) for each in lawful(messages))


def one_call_each(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns of which none has more than one tool call, each followed by its result."""
    found: list[Message] = []
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        if not calls[1:]:
            found.append(message)
            continue
        results: list[tuple[Role, ToolResult]] = []
        while rest and (more := _results(rest[0])):
            role = rest.pop(0).role
            results.extend((role, each) for each in more)
        said = [part for part in message.parts if not isinstance(part, ToolCall)]
        for call in calls:
            found.append(Message(message.role, (*said, call)))
            said = []
            own = [each for each in results if each[1].call_id == call.id]
            found += [Message(role, (result,)) for role, result in own]
            results = [each for each in results if each not in own]
        found += [Message(role, (result,)) for role, result in results]
    return tuple(found)


def without_thoughts_of_calls(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns that say something and call a tool without what was thought before it."""

    def kept(message: Message) -> Message:
        if not message.text or not any(isinstance(part, ToolCall) for part in message.parts):
            return message
        parts = (part for part in message.parts if not isinstance(part, Reasoning))
        return Message(message.role, tuple(parts))

    return tuple(map(kept, messages))


def with_readable_arguments(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns in which the arguments of every call are an object: what is none is in one."""

    def part(each: chat.Part) -> chat.Part:
        if not isinstance(each, ToolCall) or is_object(each.arguments):
            return each
        return replace(each, arguments=json.dumps({"arguments": each.arguments}))

    return tuple(Message(each.role, tuple(map(part, each.parts))) for each in messages)


def with_words_apart(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns of which none both says something and calls a tool."""
    found: list[Message] = []
    for each in messages:
        calls = tuple(part for part in each.parts if isinstance(part, ToolCall))
        if calls and each.text:
            words = tuple(part for part in each.parts if not isinstance(part, ToolCall))
            found += [Message(each.role, words), Message(each.role, calls)]
        else:
            found.append(each)
    return tuple(found)


def with_words_in_results(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns with what is asked right behind the result of a tool as a part of it."""
    found: list[Message] = []
    for each in with_short_ids(messages):
        before = found[-1].parts[-1:] if found else ()
        if each.role == "user" and each.text and before and isinstance(before[0], ToolResult):
            more = replace(before[0], parts=(*before[0].parts, Text(_BETWEEN + each.text)))
            found[-1] = replace(found[-1], parts=(*found[-1].parts[:-1], more))
        else:
            found.append(each)
    return tuple(found)


def with_loose_results_told(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return lawful turns in which results that belong to no call are told by the user."""
    loose = set(loose_results(messages))

    def told(message: Message) -> Message:
        parts: list[chat.Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult) and part in loose:
                parts += [Text(f"Result of {part.name or 'a tool'}:{_BETWEEN}"), *part.parts]
            else:
                parts.append(part)
        is_loose = message.role == "tool" and loose.issuperset(_results(message))
        return Message("user" if is_loose else message.role, tuple(parts))

    return lawful(tuple(map(told, messages)))


def _results(message: Message) -> list[ToolResult]:
    """The results that a message consists of; none, where it says something else too."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    return results if len(results) == len(message.parts) else []


def exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """Split a chat without system messages: each user message with all that answers it."""
    found: list[list[Message]] = []
    for message in messages:
        if not found or _asks(message):
            found.append([])
        found[-1].append(message)
    return found


def _asks(message: Message) -> bool:
    # What a tool says may come in a user message: it belongs to the call before it.
    return message.role == "user" and not any(isinstance(p, ToolResult) for p in message.parts)


def _merged(messages: Iterable[Message]) -> Iterable[Message]:
    for key, group in groupby(enumerate(messages), key=lambda each: _side(*each)):
        first, *others = (message for _, message in group)
        for each in others:
            between = (Text(_BETWEEN),) if first.text and each.text else ()
            first = Message(first.role, (*first.parts, *between, *each.parts))
        yield first
        del key


def _side(place: int, message: Message) -> object:
    """What neighbours must share to become one; what tools have to do with stays apart."""
    apart = any(isinstance(part, ToolCall | ToolResult) for part in message.parts)
    return place if apart or message.role == "tool" else message.role
