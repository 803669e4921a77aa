"""The generations that make one answer, mostly a single one, and who puts each into words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeAlias

from models.chat import GenerateRequest, Origin
from models.events import Embedded, Event, Finished, Loaded, Reranked, Unloaded
from models.reply import Reply
from server.fields import Json
from server.framing import Chunk
from server.streams import Bell, Running, Streams

End: TypeAlias = Finished | Embedded | Reranked | Loaded | Unloaded
ENDS = (Finished, Embedded, Reranked, Loaded, Unloaded)


class Encoder(Protocol):
    """Says what happens in the words of one family; made anew for each answer."""

    def encode(self, event: Event) -> Iterable[Chunk]:
        """Return the frames that an event makes, none where the family has no word for it.

        ``Failed`` never comes here: the wire says what went wrong.
        """
        ...

    def whole(self, reply: Reply, end: End) -> Json:
        """Return the answer that is no stream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Several generations that are one answer: of each request one for each of ``seeds``.

    ``encoders`` are theirs in a stream, request by request. ``whole`` is the answer that is no
    stream, of all replies in the same order; each has ``finished``.
    """

    requests: tuple[GenerateRequest, ...]
    seeds: tuple[int | None, ...]
    encoders: tuple[Encoder, ...]
    whole: Callable[[Sequence[Reply]], Json]


class Voices:
    """The generations of one answer while they run. Use it from the loop, in a ``with``:
    leaving that cancels them, unless they were detached."""

    def __init__(self, running: Sequence[Running], bell: Bell) -> None:
        self.running = running
        self._bell = bell

    async def arrived(self) -> list[tuple[int, Event]]:
        """Wait for events, and return all that have come, each with the place of its voice.

        There are none where somebody has nudged.
        """
        found = self._read()
        if not found:
            await self._bell.wait()
            found = self._read()
        return found

    def _read(self) -> list[tuple[int, Event]]:
        return [(place, event) for place, each in enumerate(self.running) for event in each.read()]

    def nudge(self) -> None:
        """Let whoever waits for events look at once."""
        self._bell.ring()

    def are_stuck(self) -> bool:
        """Whether the engine does nothing for them although it should."""
        return any(each.is_stuck() for each in self.running)

    def leave(self) -> None:
        for each in self.running:
            each.leave()

    def __enter__(self) -> "Voices":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


async def open_choices(streams: Streams, choices: Choices, origin: Origin) -> Voices:
    """Start them all. What is wrong with one comes as ``Failed``."""
    bell = Bell()
    running: list[Running] = []
    try:
        for request in choices.requests:
            running += await streams.open_group(request, choices.seeds, origin, bell)
    except BaseException:
        Voices(running, bell).leave()
        raise
    return Voices(running, bell)
