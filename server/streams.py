"""From the engines' threads to asyncio: every request that runs now, and the way to end it."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, get_args

from models.chat import GenerateRequest, Origin, Request
from models.errors import InferenceError, InvalidModelName
from models.events import Event, Failed, Last, Sink
from models.health import STUCK_SECONDS, Health
from models.names import ModelName
from models.resident import Resident
from models.spelling import Spelling
from models.totals import Totals

# Less than anybody sees, and dear to write for each token of a quick model.
_LOOK_SECONDS = 0.002
_LAST = frozenset[type[Event]](get_args(Last))


class Engines(Protocol):
    """The door to the models, as ``models.residency.Residency`` has it. Any thread may call."""

    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int: ...
    def submit_group(
        self,
        request: GenerateRequest,
        seeds: Sequence[int | None],
        sinks: Sequence[Sink],
        *,
        origin: Origin,
    ) -> tuple[int, ...]: ...
    def cancel(self, ticket: int) -> None: ...
    def residents(self) -> Sequence[Resident]: ...
    def health(self) -> Health: ...
    def count_tokens(self, request: GenerateRequest) -> int:
        """Return the tokens of the prompt. It may take a while. Raises InferenceError."""
        ...

    def spelling(self, model: str) -> Spelling:
        """Return what shows a model's tokens. It may take a while. Raises InferenceError."""
        ...

    def totals(self) -> Totals: ...


class Bell:
    """Wakes whoever waits for one or for several requests. Use it from the loop."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Return when it rings next."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def ring(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class Running:
    """One request, from its start to its last event. Use it from the loop, in a ``with``:
    leaving that cancels the request, unless it was detached.

    ``bell`` rings when events have come; several requests may share it.
    """

    def __init__(self, streams: "Streams", request: Request, origin: Origin, bell: Bell) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.origin = origin
        self.since = time.time()  # seconds, as of the epoch
        self._streams = streams
        self._ticket: int | None = None
        self._cancelled = False
        self._detached = False
        self._events: list[Event] = []  # arrived, and not yet read
        self._over = False  # the last event has arrived
        self.bell = bell

    async def arrived(self) -> list[Event]:
        """Wait for events, and return all that have come: none after the last, or a nudge."""
        if not self._events and not self._over:
            await self.bell.wait()
        return self.read()

    def read(self) -> list[Event]:
        """Return the events that have come since, without waiting."""
        events, self._events = self._events, []
        return events

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the events up to the last.

        Raises:
            InferenceError: where the stream has ``Failed``.
        """
        while events := await self.arrived():
            for event in events:
                if isinstance(event, Failed):
                    raise event.error
                yield event

    def nudge(self) -> None:
        """Let whoever waits for events look at once."""
        self.bell.ring()

    def is_stuck(self) -> bool:
        """Whether its model has work, and has taken no step for longer than steps take."""
        return self._streams.silent_seconds(self.request.model) > STUCK_SECONDS

    def cancel(self) -> None:
        """End the request before its next token. Harmless once it is over."""
        if self._over or self._cancelled:
            return
        self._cancelled = True
        if self._ticket is not None:
            self._streams.engines.cancel(self._ticket)

    def detach(self) -> None:
        """Let the request go on when whoever asked for it leaves."""
        self._detached = True

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Nobody reads any more: cancel the request, unless it was detached."""
        if not self._detached:
            self.cancel()
            self._streams.forget(self)

    # -- For Streams -----------------------------------------------------------

    def submitted(self, ticket: int) -> None:
        """Called on the thread that has submitted it."""
        self._ticket = ticket
        if self._cancelled:  # meanwhile
            self._streams.engines.cancel(ticket)

    def take(self, event: Event) -> None:
        """Keep an event for the reader, and wake it."""
        if self._over:
            return
        self._events.append(event)
        if type(event) in _LAST:
            self._over = True
            self._streams.forget(self)
        self.nudge()


class Streams:
    """All requests that run for one server. Only the thread of its loop calls it.

    What the engines say is gathered in one queue, and the loop is woken once for all that
    has come since it looked last: waking it for every token costs more than the token. It looks
    at once after a pause and for an end, and else no more often than ``_LOOK_SECONDS``.
    """

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self._running: dict[str, Running] = {}
        self._queue: deque[tuple[Running, Event]] = deque()
        self._woken = False  # the loop will look at the queue
        self._looked = 0.0  # when it did last, by the loop's clock

    async def open(self, request: Request, origin: Origin) -> Running:
        """Start a request. What is wrong with it comes as ``Failed``."""
        running = Running(self, request, origin, Bell())
        sink = self._sink(running)

        def submit() -> None:
            running.submitted(self.engines.submit(request, sink, origin=origin))

        await self._submit([running], submit)
        return running

    async def open_group(
        self,
        request: GenerateRequest,
        seeds: Sequence[int | None],
        origin: Origin,
        bell: Bell,
    ) -> list[Running]:
        """Start several generations of one prompt, one for each seed: it is read once."""
        group = [Running(self, request, origin, bell) for _ in seeds]
        sinks = [self._sink(running) for running in group]

        def submit() -> None:
            tickets = self.engines.submit_group(request, seeds, sinks, origin=origin)
            for running, ticket in zip(group, tickets, strict=True):
                running.submitted(ticket)

        await self._submit(group, submit)
        return group

    def running(self) -> list[Running]:
        return list(self._running.values())

    def silent_seconds(self, model: str) -> float:
        """Return for how long a model has taken no step although it has work."""
        with suppress(InvalidModelName):
            key = ModelName.parse(model).key
            found = [each for each in self.engines.residents() if key in each.names]
            return max((each.doing.silent_seconds for each in found), default=0.0)
        return 0.0

    def end_all(self, error: InferenceError) -> None:
        """Fail every request, so that its client is told."""
        for running in self.running():
            running.cancel()
            running.take(Failed(error))

    def forget(self, running: Running) -> None:
        self._running.pop(running.id, None)

    def _sink(self, running: Running) -> Sink:
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:  # called on an engine's thread
            self._queue.append((running, event))
            if not self._woken:
                self._woken = True
                with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
                    look = self._deliver if type(event) in _LAST else self._look
                    loop.call_soon_threadsafe(look, loop)

        return sink

    async def _submit(self, requests: Sequence[Running], submit: Callable[[], None]) -> None:
        """Have them submitted on a thread that may wait: finding the model reads the disk."""
        for each in requests:
            self._running[each.id] = each
        try:
            await asyncio.to_thread(submit)
        except BaseException:
            for each in requests:
                each.cancel()
                self.forget(each)
            raise

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._looked + _LOOK_SECONDS
        if loop.time() >= due:
            self._deliver(loop)
        else:
            loop.call_at(due, self._deliver, loop)

    def _deliver(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looked = loop.time()
        # In this order: what is put in from now on wakes the loop again.
        self._woken = False
        while self._queue:
            running, event = self._queue.popleft()
            running.take(event)
