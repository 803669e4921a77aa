"""Where a chat template stumbles: the message or the tool that it refuses, for whoever sent it."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from jinja2 import TemplateError

from models.chat import Message, Tool
from models.errors import InvalidRequest

Render = Callable[[tuple[Message, ...], Sequence[Tool]], object]

# What a template may make of messages that it does not understand.
STUMBLES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)

_SIDES = {
    "system": "the system's",
    "user": "a user's",
    "assistant": "an answer",
    "tool": "a tool's",
}


class Refused(Exception):
    """A template made nothing of messages and tools; its words are the template's own."""


def place_of(render: Render, messages: tuple[Message, ...], tools: Sequence[Tool]) -> str:
    """Return what is refused: a tool, the first message that is not accepted, or all of them.

    Args:
        render: raises ``Refused`` as it did with these.
    """

    def accepts(count: int, tools: Sequence[Tool]) -> bool:
        with suppress(Refused, InvalidRequest):
            render(messages[:count], tools)
            return True
        return False

    if tools and accepts(len(messages), ()):
        wrong = (each for each in tools if not accepts(len(messages), (each,)))
        tool = next(wrong, None)
        return f"the tool '{tool.name}'" if tool else "these tools"
    accepted, refused = 0, len(messages)
    while refused - accepted > 1:
        count = (accepted + refused) // 2
        if accepts(count, tools):
            accepted = count
        else:
            refused = count
    if not refused:
        return "these messages"
    return f"message {refused} of {len(messages)}, {_SIDES[messages[accepted].role]}"
