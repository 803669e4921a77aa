"""Answers that do not end when whoever asked for them leaves: what each has said, and to whom."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import replace

from models.abilities import Ability
from models.chat import GenerateRequest, Origin
from models.errors import EngineClosed, InferenceError, NotAble
from models.events import Finished, Started
from server.faults import UNEXPECTED, not_able
from server.fields import Json
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.requests import Wanted
from server.streams import Running, Streams
from server.unread_calls import with_unread
from server.wires import OPENAI_RESPONSES

_FAREWELL_SECONDS = 1.0

log = logging.getLogger(__name__)


class Run:
    """One answer and its log: any number of readers may follow it, from any place on."""

    def __init__(
        self, streams: Streams, wanted: Wanted, origin: Origin, keep: Callable[["Run"], None]
    ) -> None:
        self.wanted = wanted
        self.log: list[Json] = []
        self.over = False
        self._encoder = Encoder(wanted)
        self._streams = streams
        self._origin = origin
        self._keep = keep
        self._running: Running | None = None
        self._cancelled = False
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def id(self) -> str:
        return self.wanted.head["id"]

    def response(self) -> Json:
        """Return the response as it stands now."""
        return self._encoder.response()

    def queue(self) -> None:
        """Let it be known before it runs."""
        self._say(self._encoder.queue())
        self._keep(self)

    async def run(self) -> None:
        """Answer to the end. Whatever goes wrong is said in the log."""
        try:
            await self._answer(self.wanted.request)
        except InferenceError as error:
            self._say(self._encoder.fail(error))
        except asyncio.CancelledError:
            self._say(self._encoder.fail(EngineClosed("The local API has been switched off.")))
            raise
        except Exception as error:
            log.error("A response broke off", exc_info=error)
            self._say(self._encoder.fail(InferenceError(UNEXPECTED)))
        finally:
            self.over = True
            self._keep(self)
            self._changed.set()
            self._ended.set()

    async def cancel(self) -> None:
        """End it, and wait for that. Harmless once it is over."""
        self._cancelled = True
        if self._running:
            self._running.cancel()
        await self._ended.wait()

    async def follow(self, after: int = -1) -> AsyncGenerator[Json, None]:
        """Yield its events from the one after a certain number on, up to its last."""
        place = max(after + 1, 0)  # each stands at the place of its number
        while True:
            while place < len(self.log):
                yield self.log[place]
                place += 1
            if self.over:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(OPENAI_RESPONSES.ping_seconds):
                    await self._changed.wait()
            except TimeoutError:
                if not (self._running and self._running.is_stuck()):
                    self._say([self._encoder.beat()])

    async def _answer(self, request: GenerateRequest) -> None:
        try:
            await self._read(request)
        except NotAble as error:
            if not self.wanted.wish or set(error.lacking) != {Ability.THINKING}:
                raise not_able(error, request.model, "chat") from None
            await self._read(replace(request, thinking=None))

    async def _read(self, request: GenerateRequest) -> None:
        self._running = await self._streams.open(request, self._origin)
        with self._running as running:
            if self._cancelled:
                running.cancel()
            async for event in running.events():
                self._say(with_unread(self._encoder.encode(event), event))
                if isinstance(event, Started) and self.wanted.background:
                    self._keep(self)
                if isinstance(event, Finished):
                    return

    def _say(self, events: Iterable[Json]) -> None:
        said = [*events]
        if said:
            self.log += said
            self._changed.set()


class Runs:
    """Those that run now in the background. Only the thread of the loop calls it."""

    def __init__(self, keep: Callable[[Wanted, Json, Sequence[Json]], None]) -> None:
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keep = keep

    def start(self, streams: Streams, wanted: Wanted, origin: Origin) -> Run:
        run = Run(streams, wanted, origin, self._keep_run)
        self._runs[run.id] = run
        run.queue()
        task = asyncio.create_task(run.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def end(self) -> None:
        """Wait for all, once the server has told them to end: what they have said is kept."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_SECONDS)

    def get(self, id: str) -> Run | None:
        return self._runs.get(id)

    def _keep_run(self, run: Run) -> None:
        if run.over:
            self._runs.pop(run.id, None)
        self._keep(run.wanted, run.response(), run.log if run.over else ())
