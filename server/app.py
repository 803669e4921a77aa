"""create_app: the families' routes on one Quart application, and what they have in common."""

import logging
import os
from collections.abc import Iterable
from http import HTTPStatus

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from models.errors import InferenceError
from models.residency import Residency
from models.store import Store
from models.version import own_version
from server import faults
from server.fields import Json
from server.formats import ollama, ollama_models, openai_chat, openai_models
from server.framing import JSON, NATIVE_JSON, empty, reply
from server.security import PREFLIGHT_HEADERS, HostCheck, Origins

log = logging.getLogger(__name__)


def create_app(
    residency: Residency, store: Store, *, host: str, hosts: Iterable[str] = ()
) -> Quart:
    """Build the application; ``host`` is what the server listens on.

    ``hosts`` are further names that it may be called by. Web pages may call from this
    computer, and from where ``OLLAMA_ORIGINS`` says.
    """
    app = Quart("server", static_folder=None)
    # A long answer takes what time it takes (Quart would cut it after a minute), and
    # server.body has its own limits.
    for limit in ("RESPONSE_TIMEOUT", "BODY_TIMEOUT", "MAX_CONTENT_LENGTH"):
        app.config[limit] = None
    for blueprint in (
        ollama.routes(residency, store.find),
        ollama_models.routes(residency, store),
        openai_chat.routes(residency),
        openai_models.routes(store),
    ):
        app.register_blueprint(blueprint)
    _add_health(app, residency)
    _add_guard(
        app, HostCheck(host, hosts), Origins(os.environ.get("OLLAMA_ORIGINS", "").split(","))
    )
    _add_error_handlers(app)
    return app


def _add_health(app: Quart, residency: Residency) -> None:
    @app.get("/health")
    async def health() -> Response:
        loaded = [str(each.model.name) for each in residency.residents() if not each.loading]
        body: Json = {"status": "ok" if residency.alive else "failed", "models": loaded}
        status = HTTPStatus.OK if residency.alive else HTTPStatus.SERVICE_UNAVAILABLE
        return reply(body, JSON, status=status)


def _add_guard(app: Quart, hosts: HostCheck, origins: Origins) -> None:
    own = own_version()

    @app.before_request
    async def guard() -> Response | None:
        host = request.headers.get("Host", "")
        server = request.scope["server"]
        if not hosts.allows(host, arrived_at=server[0] if server else ""):
            return empty(HTTPStatus.FORBIDDEN)
        origin = request.headers.get("Origin")
        if origin and not origins.allow(origin, host=host):
            return empty(HTTPStatus.FORBIDDEN)
        if request.method == "OPTIONS":
            return empty(HTTPStatus.NO_CONTENT, PREFLIGHT_HEADERS if origin else None)
        return None

    @app.after_request
    async def sign(response: Response) -> Response:
        response.headers["X-Inglenook-Version"] = own
        origin = request.headers.get("Origin")
        if origin and response.status_code != HTTPStatus.FORBIDDEN:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response


def _add_error_handlers(app: Quart) -> None:
    @app.errorhandler(InferenceError)
    async def failed(error: InferenceError) -> Response:
        return _error_reply(error)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response | HTTPException:
        """An unknown path or a wrong method: plain text on Ollama's wire, JSON on OpenAI's."""
        if isinstance(error, RequestRedirect):
            return error
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        said = "page not found" if status == HTTPStatus.NOT_FOUND else error.name.lower()
        headers = _allow_header(error)
        if not faults.is_openai(request.path):
            return Response(f"{status} {said}", status, headers, content_type="text/plain")
        body = faults.openai_envelope(f"{said}: {request.method} {request.path}", status)
        return reply(body, JSON, status=status, headers=headers)

    @app.errorhandler(Exception)
    async def broke(error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return _error_reply(InferenceError(faults.UNEXPECTED))


def _error_reply(error: InferenceError) -> Response:
    content_type = JSON if faults.is_openai(request.path) else NATIVE_JSON
    body = faults.body(error, request.path)
    return reply(body, content_type, status=error.status_hint, headers=faults.headers(error))


def _allow_header(error: HTTPException) -> dict[str, str]:
    if not isinstance(error, MethodNotAllowed):
        return {}
    return {"Allow": ", ".join(sorted(set(error.valid_methods or ()) - {"OPTIONS"}))}
