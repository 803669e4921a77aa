"""Whether a chat template has said all that it was given: some pass over what they know not."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from models.chat import Message, ToolCall
from models.engine.paired import loose_results

_PLAIN = re.compile(r"[A-Za-z0-9]{1,40}").fullmatch
_WORD = re.compile(r"\w+")
_BEGINNING = 500  # characters of a result, among which its longest word is


def says_all(text: str, messages: Sequence[Message], *, calls: bool) -> bool:
    """Whether a prompt has what is easily left out: late words of the system, results of no call,
    and with ``calls`` the calls beside which something is said.
    """
    return all(each in text for each in _sought(messages, calls))


def _sought(messages: Sequence[Message], calls: bool) -> Iterator[str]:
    for each in messages[1:]:
        if each.role == "system":
            yield each.text.strip()
    for result in loose_results(messages):
        yield max(_WORD.findall(result.text[:_BEGINNING]), key=len, default="")
    if calls:
        for each in messages:
            for part in each.parts:
                if isinstance(part, ToolCall):
                    yield _plain_words(part)


def _plain_words(call: ToolCall) -> str:
    """Return the first text among the arguments of a call that every template writes as it is."""
    with suppress(ValueError, RecursionError):
        arguments: Any = json.loads(call.arguments)
        values = cast("dict[str, Any]", arguments).values() if isinstance(arguments, dict) else ()
        return next((each for each in values if isinstance(each, str) and _PLAIN(each)), "")
    return ""
