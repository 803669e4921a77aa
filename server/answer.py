"""The one place where a request becomes an HTTP answer, whole or as a stream of frames."""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import TracebackType

from quart import Response
from quart.wrappers.response import ResponseBody
from werkzeug.datastructures import Headers

from models.abilities import Ability
from models.chat import GenerateRequest, Origin, Request
from models.errors import InferenceError, NotAble
from models.events import Event, Failed, Started
from models.reply import Reply
from server.faults import UNEXPECTED, not_able
from server.fields import Json
from server.framing import Chunk, reply
from server.ignored import ignored_headers
from server.overflow import overflow_headers
from server.streams import Streams
from server.unread_calls import unread_headers, with_unread
from server.voices import ENDS, Choices, Encoder, End, Voices, open_choices
from server.wires import Wire

__all__ = ["Asked", "Encoder", "End", "Frames", "answer"]

log = logging.getLogger(__name__)

_LONGEST_CLIENT = 200  # characters of what it calls itself


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
    choices: Choices | None = None  # where there are several; the first request is ``request``
    # What is said while nothing comes, where that is a word of the answer; else the wire's.
    ping: Callable[[], Chunk] | None = None

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """Of each voice in a stream."""
        return self.choices.encoders if self.choices else (self.encoder,)


async def answer(streams: Streams, wire: Wire, asked: Asked, headers: Headers) -> Response:
    """Run what was asked, and say it: errors have a status until the model has started.

    ``headers`` are the request's.

    Raises:
        InferenceError: it failed before that.
    """
    origin = Origin("api", wire.name, headers.get("User-Agent", "")[:_LONGEST_CLIENT])
    said = ignored_headers(asked.ignored, headers)
    voices = await _open(streams, asked, origin)
    try:
        return await _answer(wire, asked, voices, said)
    except NotAble as error:
        if _may_go_unheard(asked, error):
            return await answer(streams, wire, _without_wish(asked), headers)
        raise not_able(error, asked.request.model, asked.deed) from None


async def _open(streams: Streams, asked: Asked, origin: Origin) -> Voices:
    if asked.choices:
        return await open_choices(streams, asked.choices, origin)
    running = await streams.open(asked.request, origin)
    return Voices([running], running.bell)


async def _answer(wire: Wire, asked: Asked, voices: Voices, headers: dict[str, str]) -> Response:
    if asked.stream:
        frames = Frames(wire, asked, voices)
        await frames.begin()
        told = headers | overflow_headers(frames.started)
        return Response(frames, headers=told, content_type=wire.stream_type)
    replies = [Reply() for _ in voices.running]
    with voices:
        body = await _whole(asked, voices, replies)
    told = headers | overflow_headers(replies[0].started) | unread_headers(replies)
    return reply(body, wire.content_type, headers=told)


async def _whole(asked: Asked, voices: Voices, replies: list[Reply]) -> Json:
    """Raises InferenceError: one of them failed."""
    left = len(replies)
    while True:
        for place, event in await voices.arrived():
            if isinstance(event, Failed):
                raise event.error
            replies[place].take(event)
            if not isinstance(event, ENDS):
                continue
            if asked.choices is None:
                return asked.encoder.whole(replies[place], event)
            left -= 1
            if not left:
                return asked.choices.whole(replies)


def _may_go_unheard(asked: Asked, error: NotAble) -> bool:
    return bool(asked.wish) and set(error.lacking) == {Ability.THINKING}


def _without_wish(asked: Asked) -> Asked:
    assert isinstance(asked.request, GenerateRequest)
    request = replace(asked.request, thinking=None)
    choices = asked.choices
    if choices:
        requests = tuple(replace(each, thinking=None) for each in choices.requests)
        choices = replace(choices, requests=requests)
    ignored = (*asked.ignored, asked.wish)
    return replace(asked, request=request, choices=choices, ignored=ignored, wish="")


class Frames(ResponseBody, AsyncIterator[bytes]):
    """The frames of one answer, as Quart sends a body. Leaving it cancels the request.

    Whatever happens, the stream has a proper end: the last frame, after one that says what
    went wrong where something did.
    """

    def __init__(self, wire: Wire, asked: Asked, voices: Voices) -> None:
        self._wire = wire
        self._frame = wire.frame
        self._ping = asked.ping
        self._encoders = asked.encoders
        self._voices = voices
        self._left = len(voices.running)  # that have not ended
        self._ready: list[bytes] = []
        self.started: Started | None = None  # once the model has
        self._begun = False  # the head of the answer is sent, or about to be
        self._over = False
        self._quiet = True  # nothing has been sent since the clock looked last
        self._clock = self._wind() if wire.ping or asked.ping else None

    async def begin(self) -> None:
        """Wait until the model has started on it: a long prompt keeps no client without a head.

        Raises:
            InferenceError: the request failed before that.
        """
        try:
            while not (self._ready or self.started or self._over):
                self._take(await self._voices.arrived())
        except BaseException:
            self._leave()
            raise
        self._begun = True

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._over:
                raise StopAsyncIteration
            self._take(await self._voices.arrived())
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
        self._voices.leave()

    def _take(self, events: list[tuple[int, Event]]) -> None:
        """Make frames of events. Raises what goes wrong before there is anything to send."""
        try:
            for place, event in events:
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Started):
                    self.started = event
                for chunk in with_unread(self._encoders[place].encode(event), event):
                    self._ready.append(self._frame(chunk))
                if isinstance(event, ENDS):
                    self._left -= 1
                    if not self._left:
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
        self._voices.leave()

    def _wind(self) -> asyncio.TimerHandle:
        # The clock must not keep alive what nobody else holds any more.
        return asyncio.get_running_loop().call_later(
            self._wire.ping_seconds, _tick, weakref.ref(self)
        )

    def tick(self) -> None:
        """Time has passed: say that it goes on, if nothing else was said and it does."""
        if self._over:
            return
        if self._quiet and not self._ready and not self._voices.are_stuck():
            self._ready.append(self._frame(self._ping()) if self._ping else self._wire.ping)
            self._voices.nudge()
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
