"""A turn of a chat, and a chat as a list shows it."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.chat import Image, Message, Part, Role, Text

_TITLE_LENGTH = 60


class Outcome(StrEnum):
    """How a turn ended."""

    WRITING = "writing"  # it has not
    DONE = "done"
    CUT = "cut"  # the context or the token limit was reached
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the program ended first


def new_id() -> str:
    """Never the same twice, also between two programs on the same file."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One side's say: a message, and what came of it."""

    role: Role
    parts: tuple[Part, ...]
    outcome: Outcome = Outcome.DONE
    model: str = ""  # that said it
    error: str = ""  # one sentence, where it failed
    completion_tokens: int = 0
    decode_seconds: float = 0.0
    thought_seconds: float = 0.0  # before, and between, what it said
    dropped_messages: int = 0  # the oldest, that it was not shown for want of room
    id: str = field(default_factory=new_id)

    @property
    def text(self) -> str:
        """What is said in it, without pictures, reasoning and tools."""
        return self.message.text

    def ends_in(self, kind: type[Part]) -> bool:
        return bool(self.parts) and isinstance(self.parts[-1], kind)

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))

    @property
    def message(self) -> Message:
        return Message(self.role, self.parts)


def user_turn(text: str, images: Iterable[Image] = ()) -> Turn:
    """The pictures come first: models read what is asked of them last."""
    return Turn(role="user", parts=(*images, *((Text(text),) if text else ())))


@dataclass(frozen=True, slots=True)
class ChatEntry:
    id: str
    title: str
    updated_at: datetime  # aware, UTC


def title_of(turn: Turn) -> str:
    """Name a chat by the beginning of its first message."""
    said = turn.text or " ".join(image.name for image in turn.images)
    words = " ".join(re.sub(r"\*\*|`|^#+", "", said).split())
    if len(words) <= _TITLE_LENGTH:
        return words or "New chat"
    cut = words[: _TITLE_LENGTH - 1]
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) > _TITLE_LENGTH // 2 else cut) + "…"
