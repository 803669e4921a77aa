"""The bridge from the engine threads to asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from weakref import WeakKeyDictionary

from models.chat import Origin, Request
from models.errors import InferenceError
from models.events import Event, Failed, Finished, Loaded, Progress, Unloaded
from models.residency import Residency

# What waits for events now, by the loop it waits on.
_open: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Queue[Event]]] = WeakKeyDictionary()


async def generate(residency: Residency, request: Request) -> AsyncGenerator[Event, None]:
    """Yield the events of one request; leaving the loop early cancels it.

    Raises:
        InferenceError: where the stream would have had ``Failed``.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def sink(event: Event) -> None:  # called on an engine's thread
        with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
            loop.call_soon_threadsafe(events.put_nowait, event)

    waiting = _open.setdefault(loop, set())
    waiting.add(events)
    ticket = residency.submit(request, sink, origin=Origin("api"))
    try:
        while True:
            match await events.get():
                case Failed(error):
                    raise error
                case event:
                    yield event
            if isinstance(event, Finished | Loaded | Unloaded):
                return
            if not events.empty():  # a reader that has fallen behind must not hold up the loop
                await asyncio.sleep(0)
    finally:
        waiting.discard(events)
        residency.cancel(ticket)  # a client that hangs up frees its sequence


def end_all(error: InferenceError) -> None:
    """Fail every request that waits on the running loop, so that its client is told."""
    for events in _open.get(asyncio.get_running_loop(), ()):
        events.put_nowait(Failed(error))


async def begin(residency: Residency, request: Request) -> AsyncGenerator[Event, None]:
    """Wait until a request has started, and return all its events.

    So what goes wrong at once is an error here, while there is still a status to send.

    Raises:
        InferenceError: the request failed before it started.
    """
    events = generate(residency, request)
    first = await anext(events)
    while isinstance(first, Progress):
        first = await anext(events)
    return _all(first, events)


async def _all(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event
