"""A conversation made short by the model itself: one item that stands for what was said."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.chat import GenerateRequest, Overflow, ToolChoice, user
from models.events import Event, Finished
from models.reply import Reply
from server.answer import End
from server.fields import Json
from server.formats.openai_responses.encoder import usage_body
from server.formats.openai_responses.ids import new_id
from server.formats.openai_responses.requests import Wanted
from server.formats.openai_responses.sealed import seal

_MOST_TOKENS = 2048
_ASKED = (
    "Summarise our conversation so far, for yourself: what was asked, what was found out and "
    "decided, names, numbers and file names that matter, and what is still to be done. "
    "Write the summary alone."
)
_SAID = "A summary of our conversation so far:\n\n"


def request_of(wanted: Wanted) -> GenerateRequest:
    """Return what the model is asked: the oldest is left out where all is too long for it."""
    assert not isinstance(wanted.request.prompt, str)
    return replace(
        wanted.request,
        prompt=(*wanted.request.prompt, user(_ASKED)),
        tools=(),
        tool_choice=ToolChoice(),
        thinking=False,
        constraint=None,
        max_tokens=_MOST_TOKENS,
        overflow=Overflow.DROP,
    )


@dataclass(frozen=True, slots=True)
class Encoder:
    """What must stay as it was said (``kept``) stays before the summary."""

    kept: tuple[Json, ...]

    def encode(self, event: Event) -> tuple[Json, ...]:
        raise AssertionError("a compaction is no stream")

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        item = {
            "id": new_id("cmp"),
            "type": "compaction",
            "encrypted_content": seal(_SAID + reply.text.strip()),
        }
        return {
            "id": new_id("resp"),
            "object": "response.compaction",
            "created_at": int(time.time()),
            "output": [*self.kept, item],
            "usage": usage_body(end.usage),
        }


def what_stays(items: Sequence[Json]) -> tuple[Json, ...]:
    """Return the items that tell the model what to do."""
    return tuple(item for item in items if item.get("role") in ("system", "developer"))
