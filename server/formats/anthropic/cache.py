"""``cache_control``: whether the caller marked anything of a prompt to be cached.

Every prompt is kept here, marked or not: a mark decides how its tokens are told. See
docs/decisions/anthropic.md.
"""

from typing import Literal, TypeAlias

from models.events import Usage
from server.fields import Fields, Json
from server.formats.anthropic.words import optional_word, word

Lifetime: TypeAlias = Literal["5m", "1h"]
LIFETIMES: tuple[Lifetime, ...] = ("5m", "1h")


class CacheMarks:
    """Gathers the marks of one request: read every object that may carry one."""

    def __init__(self) -> None:
        self.lifetime: Lifetime | None = None  # the longest asked for; None: there is no mark

    def read(self, fields: Fields) -> None:
        """Raises InvalidRequest."""
        mark = fields.inner("cache_control")
        if mark is None:
            return
        word(mark, "type", ("ephemeral",))
        hour = optional_word(mark, "ttl", LIFETIMES) == "1h" or self.lifetime == "1h"
        self.lifetime = "1h" if hour else "5m"


def delta_usage(usage: Usage, lifetime: Lifetime | None) -> Json:
    """Return the counts that a ``message_delta`` has.

    Who marked nothing is told of no cache, as by Anthropic. Else what was not found in the
    cache has been put into it, so that nothing is left over.
    """
    read = usage.cached_tokens if lifetime else 0
    return {
        "input_tokens": 0 if lifetime else usage.prompt_tokens,
        "cache_creation_input_tokens": usage.prompt_tokens - read if lifetime else 0,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def whole_usage(usage: Usage, lifetime: Lifetime | None) -> Json:
    """Return the counts that a message has."""
    counts = delta_usage(usage, lifetime)
    created = counts["cache_creation_input_tokens"]
    kept = {each: created if each == lifetime else 0 for each in LIFETIMES}
    return counts | {
        "cache_creation": {f"ephemeral_{each}_input_tokens": kept[each] for each in LIFETIMES},
        "service_tier": "standard",
    }
