"""What of a turn is not said: each thought, call and result as a line, and what is behind it."""

import json
from dataclasses import dataclass

from app import words
from models.chat import Reasoning, ToolCall, ToolResult
from models.records.values import Outcome, Turn

_MOST_PREVIEWED = 400  # characters: more than a line has


@dataclass(frozen=True, slots=True)
class Aside:
    title: str  # one line
    body: str
    preview: str = ""  # the line that is being written
    code: bool = False  # what is behind it is for programs


def aside_of(turn: Turn, place: int) -> Aside | None:
    """Return the part at ``place`` as an aside; None where it is said."""
    growing = turn.outcome is Outcome.WRITING and place == len(turn.parts) - 1
    match turn.parts[place]:
        case Reasoning(text):
            preview = _last_line(text) if growing else ""
            return Aside(_thought(turn, growing=growing), text.strip(), preview)
        case ToolCall() as call if growing:
            return Aside(f"Asking for {call.name}", call.arguments, code=True)
        case ToolCall() as call:
            return Aside(words.asked_for(call), _arranged(call.arguments), code=True)
        case ToolResult() as result:
            return Aside(words.answered(result), result.text, code=True)
        case _:
            return None


def spoken(turn: Turn) -> str:
    """Return a reply as a screen reader says it in one go."""
    asides = [aside_of(turn, place) for place in range(len(turn.parts))]
    titles = [f"{aside.title}." for aside in asides if aside]
    who = f"{turn.model}:" if turn.model else ""
    return " ".join(filter(None, (who, *titles, turn.text)))


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
