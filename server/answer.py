"""The one place where a request becomes an HTTP answer, whole or as a stream of frames."""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, TypeAlias

from quart import Response
from quart.wrappers.response import ResponseBody
from werkzeug.datastructures import Headers

from models.abilities import Ability
from models.chat import GenerateRequest, Origin, Request
from models.errors import InferenceError, NotAble
from models.events import (
    Embedded,
    Event,
    Failed,
    Finished,
    Loaded,
    Reranked,
    Started,
    Unloaded,
)
from models.reply import Reply
from server.faults import UNEXPECTED, not_able
from server.fields import Json
from server.framing import Chunk, reply
from server.ignored import ignored_headers
from server.overflow import overflow_headers
from server.streams import Running, Streams
from server.wires import Wire

log = logging.getLogger(__name__)

_LONGEST_CLIENT = 200  # characters of what it calls itself

End: TypeAlias = Finished | Embedded | Reranked | Loaded | Unloaded
_ENDS = (Finished, Embedded, Reranked, Loaded, Unloaded)


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
class Asked:
    """A request as its family has read it: what to do, and how to answer."""

    request: Request
    stream: bool
    encoder: Encoder
    ignored: tuple[str, ...] = ()  # fields that were given and have no effect
    deed: str = "chat"  # what a model that cannot answer at all "does not support"
    # The field that wishes for thinking, where a model that cannot may pass over it.
    wish: str = ""


async def answer(streams: Streams, wire: Wire, asked: Asked, headers: Headers) -> Response:
    """Run what was asked, and say it: errors have a status until the model has started.

    ``headers`` are the request's.

    Raises:
        InferenceError: it failed before that.
    """
    origin = Origin("api", wire.name, headers.get("User-Agent", "")[:_LONGEST_CLIENT])
    said = ignored_headers(asked.ignored, headers)
    running = await streams.open(asked.request, origin)
    try:
        return await _answer(wire, asked, running, said)
    except NotAble as error:
        if _may_go_unheard(asked, error):
            return await answer(streams, wire, _without_wish(asked), headers)
        raise not_able(error, asked.request.model, asked.deed) from None


async def _answer(wire: Wire, asked: Asked, running: Running, headers: dict[str, str]) -> Response:
    if asked.stream:
        frames = Frames(wire, asked.encoder, running)
        await frames.begin()
        told = headers | overflow_headers(frames.started)
        return Response(frames, headers=told, content_type=wire.stream_type)
    said = Reply()
    with running:
        body = await _whole(asked.encoder, running, said)
    return reply(body, wire.content_type, headers=headers | overflow_headers(said.started))


async def _whole(encoder: Encoder, running: Running, said: Reply) -> Json:
    async for event in running.events():
        said.take(event)
        if isinstance(event, _ENDS):
            return encoder.whole(said, event)
    raise AssertionError("events end with a last one")


def _may_go_unheard(asked: Asked, error: NotAble) -> bool:
    return bool(asked.wish) and set(error.lacking) == {Ability.THINKING}


def _without_wish(asked: Asked) -> Asked:
    assert isinstance(asked.request, GenerateRequest)
    request = replace(asked.request, thinking=None)
    return replace(asked, request=request, ignored=(*asked.ignored, asked.wish), wish="")


class Frames(ResponseBody, AsyncIterator[bytes]):
    """The frames of one answer, as Quart sends a body. Leaving it cancels the request.

    Whatever happens, the stream has a proper end: the last frame, after one that says what
    went wrong where something did.
    """

    def __init__(self, wire: Wire, encoder: Encoder, running: Running) -> None:
        self._wire = wire
        self._frame = wire.frame
        self._encoder = encoder
        self._running = running
        self._ready: list[bytes] = []
        self.started: Started | None = None  # once the model has
        self._begun = False  # the head of the answer is sent, or about to be
        self._over = False
        self._quiet = True  # nothing has been sent since the clock looked last
        self._clock = self._wind() if wire.ping else None

    async def begin(self) -> None:
        """Wait until the model has started on it: a long prompt keeps no client without a head.

        Raises:
            InferenceError: the request failed before that.
        """
        try:
            while not (self._ready or self.started or self._over):
                self._take(await self._running.arrived())
        except BaseException:
            self._leave()
            raise
        self._begun = True

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            self._take(await self._running.arrived())
        self._quiet = False
        frames, self._ready = self._ready, []
        return frames[0] if len(frames) == 1 else b"".join(frames)

    async def __aenter__(self) -> "Frames":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._leave()

    def __del__(self) -> None:  # its client left before the first frame was sent
        self._running.leave()

    def _take(self, events: list[Event]) -> None:
        """Make frames of events. Raises what goes wrong before there is anything to send."""
        try:
            for event in events:
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Started):
                    self.started = event
                for chunk in self._encoder.encode(event):
                    self._ready.append(self._frame(chunk))
                if isinstance(event, _ENDS):
                    self._end()
        except Exception as error:
            if not self._ready and not self._begun:
                raise
            self._end(error)

    def _end(self, error: Exception | None = None) -> None:
        self._over = True
        if error:
            self._ready.append(self._frame(self._wire.error_body(_told(error))))
        if self._wire.last_frame:
            self._ready.append(self._wire.last_frame)

    def _leave(self) -> None:
        self._over = True
        if self._clock:
            self._clock.cancel()
        self._running.leave()

    def _wind(self) -> asyncio.TimerHandle:
        # The clock must not keep alive what nobody else holds any more.
        return asyncio.get_running_loop().call_later(
            self._wire.ping_seconds, _tick, weakref.ref(self)
        )

    def tick(self) -> None:
        """Time has passed: say that we are still there, if nothing else was said."""
        if self._over:
            return
        if self._quiet and not self._ready:
            self._ready.append(self._wire.ping)
            self._running.nudge()
        self._quiet = True
        self._clock = self._wind()


def _tick(frames: Callable[[], Frames | None]) -> None:
    living = frames()
    if living:
        living.tick()


def _told(error: Exception) -> InferenceError:
    if isinstance(error, InferenceError):
        return error
    log.error("A stream broke off", exc_info=error)
    return InferenceError(UNEXPECTED)
