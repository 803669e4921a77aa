"""How many tool calls of a model could not be read, as every wire tells it."""

from collections.abc import Iterable, Sequence
from typing import overload

from models.events import Event, Finished
from models.reply import Reply
from server.fields import Json
from server.framing import Chunk, Encoded


def unread_headers(replies: Sequence[Reply]) -> dict[str, str]:
    """Return what tells it of an answer that is whole; {} where all could be read."""
    return _headers(sum(each.finished.unread_calls for each in replies if each.finished))


def unread_headers_of(events: Sequence[Json]) -> dict[str, str]:
    """Return the same of an answer whose events were kept."""
    return _headers(events[-1].get("unread_calls", 0) if events else 0)


def _headers(count: int) -> dict[str, str]:
    return {"X-Inglenook-Unread-Calls": str(count)} if count else {}


@overload
def with_unread(chunks: Iterable[Json], event: Event) -> Iterable[Json]: ...
@overload
def with_unread(chunks: Iterable[Chunk], event: Event) -> Iterable[Chunk]: ...
def with_unread(chunks: Iterable[Chunk], event: Event) -> Iterable[Chunk]:
    """Return the frames of an event, of which the last tells it where a stream ends."""
    if not isinstance(event, Finished) or not event.unread_calls:
        return chunks
    return _told([*chunks], event.unread_calls)


def _told(chunks: list[Chunk], count: int) -> list[Chunk]:
    # Anthropic's last frame has nothing but its type, and its clients drop what else is in it.
    place = max(at for at, chunk in enumerate(chunks) if len(chunk) > 1)
    last = chunks[place]
    assert not isinstance(last, Encoded), "ends are rare: nobody encodes them beforehand"
    chunks[place] = {**last, "unread_calls": count}
    return chunks
