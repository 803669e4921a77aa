"""Bodies that are read no faster than they are used: a model's file may not fit into memory.

Quart takes in what comes, whether or not anybody reads it. Here the socket waits instead, on
the paths that ask for it: see ``Pace``.
"""

import asyncio
from typing import Any

from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable
from quart import Request

_MOST_AHEAD_BYTES = 8 << 20


class Pace:
    """How much of one body has come and was not yet used."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._receive = receive
        self._ahead_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def receive(self) -> ASGIReceiveEvent:
        await self._room.wait()
        message = await self._receive()
        if message["type"] == "http.request":
            self._ahead_bytes += len(message["body"])
            self._look()
        return message

    def used(self, size_bytes: int) -> None:
        self._ahead_bytes -= size_bytes
        self._look()

    def _look(self) -> None:
        if self._ahead_bytes < _MOST_AHEAD_BYTES:
            self._room.set()
        else:
            self._room.clear()


class Paced:
    """An application below which bodies that are sent to ``path`` have a ``Pace``."""

    def __init__(self, app: Any, path: str) -> None:  # noqa: ANN401 - any ASGI application
        self._app = app
        self._path = path

    async def __call__(
        self,
        scope: Any,  # noqa: ANN401 - one of ASGI's many dicts
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._path):
            pace = Pace(receive)
            scope = {**scope, "inglenook.pace": pace}
            receive = pace.receive
        await self._app(scope, receive, send)


def pace_of(request: Request) -> Pace:
    scope: Any = request.scope
    pace: Pace = scope["inglenook.pace"]
    return pace
