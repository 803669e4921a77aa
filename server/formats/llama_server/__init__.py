"""What clients of llama.cpp's server look for beside OpenAI's API (tools/server/README.md).

Where one of them names no model, it means the one that was used last.
"""

from collections.abc import Callable

from quart import Blueprint, Response, request

from models.errors import InvalidRequest
from server.answer import Asked, answer
from server.body import read_asked
from server.fields import Json
from server.formats.llama_server import infill, models, rerank, tokens
from server.formats.llama_server.contract import RERANK_PATHS
from server.formats.llama_server.tokens import Question, ReadChat
from server.framing import reply
from server.ignored import ignored_headers
from server.query import Query
from server.shelf import Shelf
from server.streams import Engines, Streams
from server.tokens import Tokens
from server.wires import LLAMA_SERVER


def routes(streams: Streams, spellings: Tokens, shelf: Shelf, read_chat: ReadChat) -> Blueprint:
    """``read_chat`` is OpenAI's: /apply-template takes what its chat takes."""
    blueprint = Blueprint("llama_server", __name__)
    _add_requests(blueprint, streams)
    _add_tokens(blueprint, streams.engines, spellings, read_chat)
    _add_facts(blueprint, streams.engines, spellings, shelf)
    return blueprint


def _add_requests(blueprint: Blueprint, streams: Streams) -> None:
    """Add what a model is needed for."""

    async def run(parse: Callable[[Json], Asked]) -> Response:
        asked = await read_asked(request, parse)
        return await answer(streams, LLAMA_SERVER, asked, request.headers)

    async def ranked() -> Response:
        return await run(rerank.parse)

    for path in RERANK_PATHS:
        blueprint.add_url_rule(path, view_func=ranked, methods=["POST"])

    @blueprint.post("/infill")
    async def fill_in() -> Response:
        return await run(lambda body: infill.parse(_named(body, streams.engines)))

    @blueprint.post("/models/load")
    async def load() -> Response:
        return await run(models.parse_load)

    @blueprint.post("/models/unload")
    async def unload() -> Response:
        return await run(models.parse_unload)


def _add_tokens(
    blueprint: Blueprint, engines: Engines, spellings: Tokens, read_chat: ReadChat
) -> None:
    async def spell(parse: Callable[[Json], tuple[Question, tuple[str, ...]]]) -> Response:
        def parsed(body: Json) -> tuple[str, Question, tuple[str, ...]]:
            body = _named(body, engines)
            question, ignored = parse(body)
            return str(body["model"]), question, ignored

        model, question, ignored = await read_asked(request, parsed)
        headers = ignored_headers(ignored, request.headers)
        body = await spellings.spell(model, question)
        return reply(body, LLAMA_SERVER.content_type, headers=headers)

    @blueprint.post("/tokenize")
    async def tokenize() -> Response:
        return await spell(tokens.parse_tokenize)

    @blueprint.post("/detokenize")
    async def detokenize() -> Response:
        return await spell(tokens.parse_detokenize)

    @blueprint.post("/apply-template")
    async def apply_template() -> Response:
        return await spell(lambda body: tokens.parse_template(body, read_chat))


def _add_facts(blueprint: Blueprint, engines: Engines, spellings: Tokens, shelf: Shelf) -> None:
    @blueprint.get("/models")
    async def listed() -> Response:
        said = Query(request.args).ignored_headers(request.headers)
        body = models.list_body(await shelf.all(), engines.residents())
        return reply(body, LLAMA_SERVER.content_type, headers=said)

    @blueprint.get("/props")
    async def props() -> Response:
        query = Query(request.args)
        name = query.text("model") or _last_used(engines)
        said = query.ignored_headers(request.headers)
        if not name:
            return reply(models.router_body(), LLAMA_SERVER.content_type, headers=said)
        model = await shelf.find(name)
        template = await spellings.spell(name, lambda spelling: spelling.template)
        loaded = (each for each in engines.residents() if each.model.digest == model.digest)
        body = models.props_body(model, next(loaded, None), template)
        return reply(body, LLAMA_SERVER.content_type, headers=said)


def _named(body: Json, engines: Engines) -> Json:
    return body if body.get("model") else {**body, "model": _usual(engines)}


def _usual(engines: Engines) -> str:
    """Raises InvalidRequest."""
    name = _last_used(engines)
    if not name:
        raise InvalidRequest('"model" is missing, and no model is loaded.', field="model")
    return name


def _last_used(engines: Engines) -> str:
    """Return the model that was used last; "" where none is loaded."""
    residents = engines.residents()
    last = max(residents, key=lambda each: each.last_used, default=None)
    return str(last.model.name) if last else ""
