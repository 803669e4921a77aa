"""An answer that is given before a request's body has ended reaches its client all the same.

Whoever closes a connection while the other end still writes has it reset, and what was said
last is lost with it. So what still comes is read and dropped for a while.
"""

import asyncio
from typing import Any

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from server.asgi import Asgi, Scope

_MOMENT_SECONDS = 0.05
_LINGER_SECONDS = 5.0
_MOST_DROPPED_BYTES = 64 << 20


class EarlyAnswers:
    """The application ``app``, whose answers are heard."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self._receive = receive
        self._send = send
        self._ended = asyncio.Event()  # nothing more is to come
        self._answered = False
        self._dropped_bytes = 0

    async def receive(self) -> Any:  # noqa: ANN401 - one of ASGI's many dicts
        message: Any = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            self._ended.set()
        elif self._answered:  # somebody else may still be asking: it must not pile up there
            self._dropped_bytes += len(message["body"])
            message = {**message, "body": b""}
            if self._dropped_bytes > _MOST_DROPPED_BYTES:
                self._ended.set()
        return message

    async def send(self, message: Any) -> None:  # noqa: ANN401 - likewise
        self._answered = True
        if message["type"] == "http.response.start" and not await self._has_ended():
            # Nobody is to send the next request where the rest of this one may still come.
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        last = message["type"] == "http.response.body" and not message.get("more_body")
        if last and not self._ended.is_set():
            piece: Any = {**message, "more_body": True}
            await self._send(piece)
            await self._drop_for(_LINGER_SECONDS)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _has_ended(self) -> bool:
        """Whether the body has come whole: mostly it is only a moment behind its head."""
        if not self._ended.is_set():
            await self._drop_for(_MOMENT_SECONDS)
        return self._ended.is_set()

    async def _drop_for(self, seconds: float) -> None:
        """Drop what comes until the body has ended. Somebody else may be asking for it too."""
        dropping = asyncio.ensure_future(self._drop())
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            dropping.cancel()

    async def _drop(self) -> None:
        while not self._ended.is_set():
            await self.receive()
