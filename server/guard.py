"""What every request meets before the application: who may call, and whose answer it is.

It stands below the framework, so that it holds for websockets too.
"""

import logging
import re
from collections.abc import Awaitable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from models.errors import InferenceError
from server import faults
from server.asgi import Asgi, Calls, Scope
from server.framing import to_json
from server.key_check import KeyCheck
from server.keys import KeyRefused
from server.security import PREFLIGHT_HEADERS, SIGNATURE, HostCheck, HostRefused, Origins
from server.wires import wire_at

log = logging.getLogger(__name__)

_Headers: TypeAlias = list[tuple[bytes, bytes]]

# But for those of an address, which may be the name of a model.
_SLASHES = re.compile(r"(?<!:)/{2,}")
_MOST_NAMES_LOGGED = 100  # a page can make up as many as it likes
# The messages that carry the headers of an answer.
_STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")


class Guard:
    """Lets in whom ``hosts``, ``origins`` and ``keys`` allow, and signs every answer.

    Slashes too many in a path, and at its end, are taken away. Without ``keys`` none is needed.
    """

    def __init__(
        self, app: Asgi, hosts: HostCheck, origins: Origins, keys: KeyCheck | None, *, version: str
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._keys = keys
        self._signature = (SIGNATURE.lower().encode(), version.encode())
        self._logged: set[str] = set()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["path"] = _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"
        given = _headers(scope)
        host, origin = given.get("host", ""), given.get("origin", "")
        server = scope["server"]
        if not self._hosts.allows(host, arrived_at=server[0] if server else ""):
            await _refuse(scope, send, given, self._foreign_host(host), [self._signature])
        elif origin and not self._origins.allow(origin, host=host):
            self._log_once(f"A web page of {origin!r} may not call: see OLLAMA_ORIGINS.")
            await _answer(scope, send, HTTPStatus.FORBIDDEN, [self._signature])
        else:
            signature = [self._signature, *_cors(origin)]
            if scope["type"] == "http" and scope["method"] == "OPTIONS":
                asked = PREFLIGHT_HEADERS.items() if origin else ()
                headers = [(name.lower().encode(), value.encode()) for name, value in asked]
                await _answer(scope, send, HTTPStatus.NO_CONTENT, [*signature, *headers])
            elif refused := await self._refused_key(scope["path"], given):
                await _refuse(scope, send, given, refused, signature)
            else:
                await self._app(scope, receive, _signing(send, signature))

    async def _refused_key(self, path: str, given: Mapping[str, str]) -> KeyRefused | None:
        try:
            if self._keys:
                await self._keys.check(path, given)
        except KeyRefused as error:
            return error
        return None

    def _foreign_host(self, host: str) -> HostRefused:
        refused = HostRefused(host)
        self._log_once(str(refused))
        return refused

    def _log_once(self, sentence: str) -> None:
        if sentence not in self._logged and len(self._logged) < _MOST_NAMES_LOGGED:
            self._logged.add(sentence)
            log.warning("%s", sentence)


def _headers(scope: Calls) -> dict[str, str]:
    """Return them by name in lower case: of several of one name the first."""
    pairs = [(name.decode("latin-1").lower(), value) for name, value in scope["headers"]]
    return {name: value.decode("latin-1") for name, value in reversed(pairs)}


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


async def _refuse(
    scope: Calls,
    send: ASGISendCallable,
    given: Mapping[str, str],
    error: InferenceError,
    headers: _Headers,
) -> None:
    """Say what is wrong as the wire says it that was asked."""
    wire = wire_at(scope["path"], given)
    more = {"Content-Type": wire.content_type, **faults.headers(error)}
    encoded = [(name.lower().encode(), value.encode()) for name, value in more.items()]
    body = to_json(wire.error_body(error))
    await _answer(scope, send, error.status_hint, [*headers, *encoded], body)


async def _answer(
    scope: Calls, send: ASGISendCallable, status: int, headers: _Headers, body: bytes = b""
) -> None:
    kind: Any = "http.response" if scope["type"] == "http" else "websocket.http.response"
    if status != HTTPStatus.NO_CONTENT:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    start: Any = {"type": f"{kind}.start", "status": int(status), "headers": headers}
    end: Any = {"type": f"{kind}.body", "body": body, "more_body": False}
    await send(start)
    await send(end)
