"""create_app: the families' routes on one Quart application, and what they have in common."""

import logging
import os
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from models.errors import InferenceError
from server import faults
from server.fields import Json
from server.formats import ollama, ollama_models, openai_chat, openai_models
from server.framing import JSON, reply
from server.security import PREFLIGHT_HEADERS, HostCheck, Origins
from server.shelf import Shelf, Store
from server.streams import Engines, Streams
from server.wires import wire_at

log = logging.getLogger(__name__)


class Api(Quart):
    """The application, and the requests that run in it."""

    def __init__(self, streams: Streams) -> None:
        super().__init__("server", static_folder=None)
        self.streams = streams
        # A long answer takes what time it takes (Quart would cut it after a minute), and
        # server.body has its own limits.
        for limit in ("RESPONSE_TIMEOUT", "BODY_TIMEOUT", "MAX_CONTENT_LENGTH"):
            self.config[limit] = None


def create_app(engines: Engines, store: Store, *, host: str) -> Api:
    """Build the application; ``host`` is what the server listens on.

    Web pages may call from this computer, and from where ``OLLAMA_ORIGINS`` says.
    """
    streams = Streams(engines)
    shelf = Shelf(store)
    app = Api(streams)
    for blueprint in (
        ollama.routes(streams),
        ollama_models.routes(engines, shelf),
        openai_chat.routes(streams),
        openai_models.routes(shelf),
    ):
        app.register_blueprint(blueprint)
    _add_health(app, engines)
    _add_guard(app, HostCheck(host), Origins(os.environ.get("OLLAMA_ORIGINS", "").split(",")))
    _add_error_handlers(app)
    return app


def own_version() -> str:
    try:
        return version("inglenook")
    except PackageNotFoundError:  # run from its source
        return "0"


def _add_health(app: Quart, engines: Engines) -> None:
    @app.get("/health")
    async def health() -> Response:
        loaded = [str(each.model.name) for each in engines.residents() if not each.loading]
        body: Json = {"status": "ok" if engines.alive else "failed", "models": loaded}
        status = HTTPStatus.OK if engines.alive else HTTPStatus.SERVICE_UNAVAILABLE
        return reply(body, JSON, status=status)


def _add_guard(app: Quart, hosts: HostCheck, origins: Origins) -> None:
    own = own_version()

    @app.before_request
    async def guard() -> Response | None:
        host = request.headers.get("Host", "")
        server = request.scope["server"]
        if not hosts.allows(host, arrived_at=server[0] if server else ""):
            return _empty(HTTPStatus.FORBIDDEN)
        origin = request.headers.get("Origin")
        if origin and not origins.allow(origin, host=host):
            return _empty(HTTPStatus.FORBIDDEN)
        if request.method == "OPTIONS":
            return _empty(HTTPStatus.NO_CONTENT, PREFLIGHT_HEADERS if origin else None)
        return None

    @app.after_request
    async def sign(response: Response) -> Response:
        response.headers["X-Inglenook-Version"] = own
        origin = request.headers.get("Origin")
        if origin and response.status_code != HTTPStatus.FORBIDDEN:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response


def _empty(status: int, headers: dict[str, str] | None = None) -> Response:
    """A reply without a body, and so without a type of one."""
    response = Response(b"", status, headers)
    response.headers.pop("Content-Type", None)
    return response


def _add_error_handlers(app: Quart) -> None:
    @app.errorhandler(InferenceError)
    async def failed(error: InferenceError) -> Response:
        return _error_reply(error)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response | HTTPException:
        """An unknown path or a wrong method, as the wire of that path says it."""
        if isinstance(error, RequestRedirect):
            return error
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        said = "page not found" if status == HTTPStatus.NOT_FOUND else error.name.lower()
        wire = wire_at(request.path)
        body, content_type = wire.unknown_path(status, said, request.method, request.path)
        return Response(body, status, _allow_header(error), content_type=content_type)

    @app.errorhandler(Exception)
    async def broke(error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return _error_reply(InferenceError(faults.UNEXPECTED))


def _error_reply(error: InferenceError) -> Response:
    wire = wire_at(request.path)
    return reply(
        wire.error_body(error),
        wire.content_type,
        status=error.status_hint,
        headers=faults.headers(error),
    )


def _allow_header(error: HTTPException) -> dict[str, str]:
    if not isinstance(error, MethodNotAllowed):
        return {}
    return {"Allow": ", ".join(sorted(set(error.valid_methods or ()) - {"OPTIONS"}))}
