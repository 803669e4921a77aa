"""create_app: the families' routes on one Quart application, and what they have in common."""

import logging
import os
from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus

from quart import Quart, Response, has_request_context, request, websocket
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import WebsocketMismatch

from models.chat import GenerateRequest
from models.downloads import Puller
from models.errors import InferenceError
from models.hub import Hub
from models.records.passing import PassingRecords
from models.registry import Registry
from models.store import Store
from models.version import own_version
from models.worker import PYTHON, Command
from server import description, faults, metrics
from server.early_answers import EarlyAnswers
from server.fields import Json
from server.formats import anthropic, llama_server, ollama, openai, openai_responses
from server.formats.openai import chat
from server.framing import JSON, reply
from server.guard import Guard
from server.key_check import KeyCheck
from server.large_bodies import LargeBodies
from server.paced import Paced
from server.query import watch_queries
from server.routes import WITH_QUERY
from server.security import HostCheck, Origins
from server.shelf import Shelf
from server.streams import Engines, Streams
from server.tokens import Tokens
from server.wires import Wire, wire_at

log = logging.getLogger(__name__)


class Api(Quart):
    """The application, and the requests that run in it."""

    def __init__(self, streams: Streams, bodies: LargeBodies) -> None:
        super().__init__("server", static_folder=None)
        self.streams = streams
        self.passing_records = PassingRecords()
        self._bodies = bodies
        self.extensions["large_bodies"] = bodies  # as server.body finds it
        # A long answer takes what time it takes (Quart would cut it after a minute), and
        # server.body has its own limits.
        for limit in ("RESPONSE_TIMEOUT", "BODY_TIMEOUT", "MAX_CONTENT_LENGTH"):
            self.config[limit] = None
        # It would send clients elsewhere, with a page: see server.guard.
        self.url_map.merge_slashes = False

    def close(self) -> None:
        """End what the application has started beside itself. Harmless twice."""
        self._bodies.close()
        self.passing_records.close()


def create_app(
    engines: Engines,
    store: Store,
    *,
    host: str,
    hosts: Iterable[str] = (),
    keys: KeyCheck | None = None,
    records: openai_responses.Records | None = None,
    worker_command: Command = PYTHON,
    hub: Puller | None = None,
) -> Api:
    """Build the application; ``host`` is what the server listens on.

    ``records`` keep responses and conversations; None: as long as the application runs.

    ``hosts`` are further names that it may be called by, beside those in
    ``INGLENOOK_HOSTS``. Web pages may call from this computer, and from where
    ``OLLAMA_ORIGINS`` says. ``keys``: whoever calls needs one. Models are pulled from ``hub``;
    None: the one that everybody has. Who runs the application closes it.
    """
    streams = Streams(engines)
    shelf = Shelf(store)
    tokens = Tokens(engines)
    answered: metrics.Answered = Counter()
    app = Api(streams, LargeBodies(worker_command))
    for blueprint in (
        ollama.routes(streams, shelf, store, hub or Hub(store), Registry(store)),
        openai.routes(streams, shelf),
        openai_responses.routes(streams, shelf, records or app.passing_records),
        anthropic.routes(streams, tokens, shelf),
        llama_server.routes(streams, tokens, shelf, _read_chat),
        metrics.routes(streams, answered),
        description.routes(),
    ):
        app.register_blueprint(blueprint)
    _add_health(app, engines, keys)
    watch_queries(app, WITH_QUERY)
    _add_error_handlers(app)
    guard = Guard(
        Paced(app.asgi_app, ollama.blobs.PATH),
        HostCheck(host, [*hosts, *_listed("INGLENOOK_HOSTS")]),
        Origins(_listed("OLLAMA_ORIGINS")),
        keys,
        version=own_version(),
    )
    counted = metrics.CountedAnswers(guard, answered)
    app.asgi_app = EarlyAnswers(counted)  # as Quart's documentation has it
    return app


def _read_chat(body: Json) -> tuple[GenerateRequest, tuple[str, ...]]:
    """Read a chat as OpenAI's API has it, for a family that has none of its own."""
    asked = chat.parse(body)
    assert isinstance(asked.request, GenerateRequest)
    return asked.request, asked.ignored


def _listed(variable: str) -> list[str]:
    return os.environ.get(variable, "").split(",")


def _add_health(app: Quart, engines: Engines, keys: KeyCheck | None) -> None:
    @app.get("/health")
    @app.get("/v1/health")  # as llama.cpp's server has it
    async def health() -> Response:
        found = engines.health()
        body: Json = {"status": "ok" if found.ok else "failed"}
        # Everybody may ask, and models are named to those alone who may ask for them elsewhere.
        headers = {name.lower(): value for name, value in request.headers.items()}
        if keys is None or await keys.knows(headers):
            loaded = [str(each.model.name) for each in engines.residents() if not each.loading]
            body["models"] = loaded
            if not found.ok:
                body["error"] = " ".join(found.troubles)
        status = HTTPStatus.OK if found.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return reply(body, JSON, status=status)


def _add_error_handlers(app: Quart) -> None:
    @app.errorhandler(InferenceError)
    async def failed(error: InferenceError) -> Response:
        return _error_reply(error)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        """An unknown path or a wrong method, as the wire of that path says it."""
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        said = "page not found" if status == HTTPStatus.NOT_FOUND else error.name.lower()
        if isinstance(error, WebsocketMismatch):
            said = "no websocket is served here, ask by http"
        method, path = _asked()
        body, content_type = _wire().unknown_path(status, said, method, path)
        return Response(body, status, _allow_header(error), content_type=content_type)

    @app.errorhandler(Exception)
    async def broke(error: Exception) -> Response:
        log.error("%s %s failed", *_asked(), exc_info=error)
        return _error_reply(InferenceError(faults.UNEXPECTED))


def _asked() -> tuple[str, str]:
    """Return the method and the path, of a websocket's handshake too."""
    if has_request_context():
        return request.method, request.path
    return "GET", websocket.path


def _wire() -> Wire:
    asked = request if has_request_context() else websocket
    return wire_at(asked.path, asked.headers)


def _error_reply(error: InferenceError) -> Response:
    wire = _wire()
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
