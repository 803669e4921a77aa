"""What is asked for in an address, read by name; what nobody read is known at the end."""

import re
from collections.abc import Container, Iterable

from quart import Quart, Response, g, request, websocket
from werkzeug.datastructures import Headers, MultiDict

from models.errors import InvalidRequest
from server.ignored import ignored_headers


class Query:
    """The names and values after the question mark of a request.

    Each reader returns None, or nothing, where the name is absent, and raises InvalidRequest
    with a sentence that names it where its value is wrong.
    """

    def __init__(self, asked: "MultiDict[str, str]") -> None:
        self._asked = asked
        self._read: set[str] = set()

    def ignore(self, name: str) -> None:
        """Count a name as ignored although its value has been looked at."""
        self._read.discard(name)

    def text(self, name: str) -> str | None:
        self._read.add(name)
        return self._asked.get(name)

    def texts(self, name: str) -> list[str]:
        """Both ways in use: the name again and again, or with brackets."""
        self._read.add(name)
        return [*self._asked.getlist(name), *self._asked.getlist(f"{name}[]")]

    def integer(self, name: str, *, least: int, most: int = 2**53) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
            end = "on" if most == 2**53 else f"to {most}"
            raise InvalidRequest(
                f'"{name}" must be a whole number from {least} {end}, not {text[:40]!r}.',
                field=name,
            )
        return int(text)

    def flag(self, name: str) -> bool | None:
        text = self.text(name)
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            raise InvalidRequest(f'"{name}" must be true or false, not {text[:40]!r}.', field=name)
        return text.lower() == "true"

    def ignored_headers(self, asked: Headers) -> dict[str, str]:
        """Return the header that names what nobody has read: call it last.

        Raises:
            InvalidRequest: there is such, and the headers ``asked`` for strictness.
        """
        unread = (name for name in _given(self._asked) if name not in self._read)
        return ignored_headers(unread, asked)


def _given(asked: "MultiDict[str, str]") -> Iterable[str]:
    return dict.fromkeys(name.removesuffix("[]") for name in asked)


# -- Where nothing can be asked for ------------------------------------------------


def watch_queries(app: Quart, read: Container[tuple[str, str]]) -> None:
    """Have names be told, or refused, where nobody reads any.

    ``read`` are the methods and paths of routes that do, which have ``Query`` tell of them; a
    path has ``{}`` wherever a part of it may differ.
    """

    @app.before_request
    async def look() -> None:
        rule = request.url_rule
        if not request.args or rule is None:
            return
        method = "GET" if request.method == "HEAD" else request.method
        if (method, re.sub("<[^>]*>", "{}", rule.rule)) not in read:
            g.ignored_query = ignored_headers(_given(request.args), request.headers)

    @app.before_websocket
    async def look_at_handshake() -> None:
        if websocket.args and websocket.url_rule is not None:
            headers = Headers(ignored_headers(_given(websocket.args), websocket.headers))
            await websocket.accept(headers)  # pyright: ignore[reportUnknownMemberType] (a bare dict)

    @app.after_request
    async def tell(response: Response) -> Response:
        for name, told in g.get("ignored_query", {}).items():
            said = response.headers.get(name)
            response.headers[name] = f"{said},{told}" if said else told
        return response
