"""What every request meets before the application: who may call, and whose answer it is.

It stands below the framework, so that it holds for websockets too.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeAlias

from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPScope,
    LifespanScope,
    WebsocketScope,
)

from models.errors import InvalidRequest
from server.framing import to_json
from server.security import PREFLIGHT_HEADERS, HostCheck, Origins
from server.wires import wire_at

log = logging.getLogger(__name__)

_Headers: TypeAlias = list[tuple[bytes, bytes]]
_Calls: TypeAlias = HTTPScope | WebsocketScope
_Scope: TypeAlias = _Calls | LifespanScope
Asgi: TypeAlias = Callable[[Any, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]

_MOST_NAMES_LOGGED = 100  # a page can make up as many as it likes
# The messages that carry the headers of an answer.
_STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")


class Guard:
    """Lets in whom ``hosts`` and ``origins`` allow, and signs every answer.

    A slash too many at the end of a path is taken away.
    """

    def __init__(self, app: Asgi, hosts: HostCheck, origins: Origins, *, version: str) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._signature = (b"x-inglenook-version", version.encode())
        self._logged: set[str] = set()

    async def __call__(
        self, scope: _Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        host, origin = _header(scope, b"host"), _header(scope, b"origin")
        server = scope["server"]
        if not self._hosts.allows(host, arrived_at=server[0] if server else ""):
            await self._refuse_host(scope, send, host)
        elif origin and not self._origins.allow(origin, host=host):
            self._log_once(f"A web page of {origin!r} may not call: see OLLAMA_ORIGINS.")
            await _answer(scope, send, HTTPStatus.FORBIDDEN, [self._signature])
        else:
            signature = [self._signature, *_cors(origin)]
            if scope["type"] == "http" and scope["method"] == "OPTIONS":
                asked = PREFLIGHT_HEADERS.items() if origin else ()
                headers = [(name.lower().encode(), value.encode()) for name, value in asked]
                await _answer(scope, send, HTTPStatus.NO_CONTENT, [*signature, *headers])
                return
            await self._app(scope, receive, _signing(send, signature))

    async def _refuse_host(self, scope: _Calls, send: ASGISendCallable, host: str) -> None:
        sentence = (
            f"The host name {host[:80]!r} is not allowed here: if it is a name of this computer, "
            "add it to Inglenook's allowed hosts, or to the variable INGLENOOK_HOSTS."
        )
        self._log_once(sentence)
        names = {name.lower().decode("latin-1") for name, _ in scope["headers"]}
        wire = wire_at(scope["path"], names)
        content_type = (b"content-type", wire.content_type.encode())
        await _answer(
            scope,
            send,
            HTTPStatus.FORBIDDEN,
            [self._signature, content_type],
            to_json(wire.error_body(InvalidRequest(sentence))),
        )

    def _log_once(self, sentence: str) -> None:
        if sentence not in self._logged and len(self._logged) < _MOST_NAMES_LOGGED:
            self._logged.add(sentence)
            log.warning("%s", sentence)


def _header(scope: _Calls, name: bytes) -> str:
    for each, value in scope["headers"]:
        if each.lower() == name:
            return value.decode("latin-1")
    return ""


def _cors(origin: str) -> _Headers:
    if not origin:
        return []
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]


def _signing(send: ASGISendCallable, signature: _Headers) -> ASGISendCallable:
    def signed(message: Any) -> Awaitable[None]:  # noqa: ANN401 - one of ASGI's many dicts
        if message["type"] in _STARTS:
            headers: Iterable[tuple[bytes, bytes]] = message.get("headers") or ()
            message = {**message, "headers": [*headers, *signature]}
        return send(message)

    return signed


async def _answer(
    scope: _Calls, send: ASGISendCallable, status: int, headers: _Headers, body: bytes = b""
) -> None:
    kind: Any = "http.response" if scope["type"] == "http" else "websocket.http.response"
    if status != HTTPStatus.NO_CONTENT:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    start: Any = {"type": f"{kind}.start", "status": int(status), "headers": headers}
    end: Any = {"type": f"{kind}.body", "body": body, "more_body": False}
    await send(start)
    await send(end)
