"""Tool calls and what came of them, put together: each call with an id, behind it its results.

Clients send results before their calls, in another order, twice, behind other messages, or
without an id. Templates print them as they come, and many print no ids: the model could not
tell which result is of which call.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from models.chat import Message, Part, ToolCall, ToolResult

NewId = Callable[[str, int], str]
"""Makes the id of a call that has none: of the name of its tool, and its number in the chat."""


_MOST_BEFORE = 256  # calls, of which one may wait for a result that names none


def new_id(name: str, number: int) -> str:
    return f"call_{number}"


@dataclass(slots=True)
class _Call:
    place: int  # of its message
    call: ToolCall
    results: list[ToolResult] = field(default_factory=list[ToolResult])


def paired(messages: tuple[Message, ...], name_it: NewId = new_id) -> tuple[Message, ...]:
    """Return messages in which the results of a call follow it, in the order of the calls.

    A result belongs to the call that has its id, the nearest before it, else the first behind
    it; without a known id to the first call before it without a result, of its tool where it
    names one. One that belongs to no call stays where it is.
    """
    calls = _named(messages, name_it)
    if not calls:
        return messages
    by_id: dict[str, list[_Call]] = {}
    for each in calls:
        by_id.setdefault(each.call.id, []).append(each)
    taken: set[tuple[int, int]] = set()
    late: list[tuple[int, int, ToolResult]] = []
    for place, at, result in _results(messages):
        if own := by_id.get(result.call_id):
            before = [each for each in own if each.place < place]
            (before[-1] if before else own[0]).results.append(result)
            taken.add((place, at))
        else:
            late.append((place, at, result))
    for place, at, result in late:
        if owner := _first_open(calls, place, result.name):
            owner.results.append(result)
            taken.add((place, at))
    return tuple(_together(messages, calls, taken))


def loose_results(messages: Sequence[Message]) -> list[ToolResult]:
    """Return the results that belong to no call, of messages that are ``paired``."""
    known = {part.id for each in messages for part in each.parts if isinstance(part, ToolCall)}
    return [each for _, _, each in _results(messages) if each.call_id not in known]


def _named(messages: Sequence[Message], name_it: NewId) -> list[_Call]:
    """Every call, with an id."""
    known = {part.id for each in messages for part in each.parts if isinstance(part, ToolCall)}
    found: list[_Call] = []
    for place, message in enumerate(messages):
        for part in message.parts:
            if isinstance(part, ToolCall):
                made = (name_it(part.name, number) for number in count(len(found)))
                call_id = part.id or next(each for each in made if each not in known)
                found.append(_Call(place, replace(part, id=call_id)))
    return found


def _results(messages: Sequence[Message]) -> Iterable[tuple[int, int, ToolResult]]:
    for place, message in enumerate(messages):
        for at, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                yield place, at, part


def _first_open(calls: Sequence[_Call], place: int, name: str) -> _Call | None:
    """The first call without a result of the latest message before that has one; else behind."""

    def fits(each: _Call) -> bool:
        return not each.results and name in ("", each.call.name)

    first = bisect_left(calls, place, key=lambda each: each.place)
    before = reversed(calls[max(0, first - _MOST_BEFORE) : first])
    if latest := next(filter(fits, before), None):
        beside = bisect_left(calls, latest.place, key=lambda each: each.place)
        return next(filter(fits, calls[beside:first]))
    return next(filter(fits, calls[first : first + _MOST_BEFORE]), None) if name else None


def _together(
    messages: Sequence[Message], calls: Sequence[_Call], taken: set[tuple[int, int]]
) -> Iterable[Message]:
    rest = list(calls)
    for place, message in enumerate(messages):
        own = [rest.pop(0) for part in message.parts if isinstance(part, ToolCall)]
        named = iter(own)
        parts: list[Part] = [
            next(named).call if isinstance(part, ToolCall) else part
            for at, part in enumerate(message.parts)
            if (place, at) not in taken
        ]
        if parts or not message.parts:
            yield Message(message.role, tuple(parts))
        for each in own:
            for result in each.results:
                name = result.name or each.call.name
                told = replace(result, call_id=each.call.id, name=name)
                yield Message("tool", (told,))
