"""A turn as it is shown: what is said, its pictures, and a line for all that is not said."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from app import words
from models.chat import Image, Part, Reasoning, Text, ToolCall, ToolResult
from models.records.values import Outcome, Turn

_MOST_PREVIEWED = 400  # characters: more than a line has


@dataclass(frozen=True, slots=True)
class Aside:
    """A thought, a call or a result."""

    title: str  # one line
    body: str
    preview: str = ""  # the line that is being written
    code: bool = False  # what is behind it is for programs


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    growing: bool


@dataclass(frozen=True, slots=True)
class Pictures:
    images: tuple[Image, ...]


Shown: TypeAlias = Said | Aside | Pictures


def shown_of(turn: Turn) -> list[Shown]:
    """Return what there is to show of it, in its order."""
    last = turn.parts[-1] if turn.parts and turn.outcome is Outcome.WRITING else None
    shown: list[Shown] = []
    for kind, parts in groupby(turn.parts, type):
        same = list(parts)
        if kind is Image:
            shown += _pictures(same)
            continue
        for part in same:
            shown += _shown(turn, part, growing=part is last)
    return shown


def spoken(turn: Turn) -> str:
    """Return a reply as a screen reader says it in one go."""
    titles = [f"{each.title}." for each in shown_of(turn) if isinstance(each, Aside)]
    who = f"{turn.model}:" if turn.model else ""
    return " ".join(filter(None, (who, *titles, turn.text)))


def _shown(turn: Turn, part: Part, *, growing: bool) -> Iterator[Shown]:
    match part:
        case Text(text):
            yield Said(text, growing)
        case Reasoning(text):
            preview = _last_line(text) if growing else ""
            yield Aside(_thought(turn, growing=growing), text.strip(), preview)
        case ToolCall() as call if growing:
            yield Aside(f"Asking for {call.name}", call.arguments, code=True)
        case ToolCall() as call:
            yield Aside(words.asked_for(call), _arranged(call.arguments), code=True)
        case ToolResult() as result:
            yield Aside(words.answered(result), result.text, code=True)
            yield from _pictures(result.parts)
        case Image():
            yield from _pictures((part,))


def _pictures(parts: Sequence[Part]) -> Iterator[Pictures]:
    if images := tuple(part for part in parts if isinstance(part, Image)):
        yield Pictures(images)


def _thought(turn: Turn, *, growing: bool) -> str:
    # The seconds are those of all thoughts together.
    alone = sum(isinstance(part, Reasoning) for part in turn.parts) == 1
    seconds = turn.thought_seconds if alone else 0.0
    return words.thinking(seconds) if growing else words.thought(seconds)


def _last_line(text: str) -> str:
    lines = text[-_MOST_PREVIEWED:].split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _arranged(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # as the model wrote them
        return arguments
