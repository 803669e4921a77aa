"""Ollama's API: https://github.com/ollama/ollama/blob/main/docs/api.md

Everything that the wire can say is read; whether the model can do it is asked elsewhere.
"""

from http import HTTPStatus
from typing import ClassVar

from quart import Blueprint, Response, request

from models.downloads import Puller
from models.errors import ContextOverflow, InferenceError, InvalidRequest, ModelNotFound
from models.registry import Registry
from models.store import Store
from server.answer import Asked, answer
from server.body import read_asked
from server.formats.ollama import blobs, facts, show
from server.formats.ollama import store as store_routes
from server.formats.ollama.embed import parse_embed, parse_embeddings
from server.formats.ollama.requests import parse_chat, parse_generate
from server.shelf import Shelf
from server.streams import Streams
from server.wires import OLLAMA


# On the routes of embeddings Ollama has sentences of its own, which its clients look for.
class _PullFirst(InferenceError):
    status_hint: ClassVar[int] = HTTPStatus.NOT_FOUND

    def __init__(self, model: str) -> None:
        super().__init__(f'model "{model}" not found, try pulling it first')


def routes(
    streams: Streams, shelf: Shelf, store: Store, hub: Puller, registry: Registry
) -> Blueprint:
    blueprint = Blueprint("ollama", __name__)
    _add_answers(blueprint, streams)
    facts.add_routes(blueprint, streams.engines, shelf)
    show.add_route(blueprint, shelf)
    store_routes.add_routes(blueprint, streams, store, hub, registry)
    blobs.add_routes(blueprint, store)
    return blueprint


def _add_answers(blueprint: Blueprint, streams: Streams) -> None:
    @blueprint.post("/api/generate")
    async def generate() -> Response:
        asked = await read_asked(request, parse_generate)
        return await answer(streams, OLLAMA, asked, request.headers)

    @blueprint.post("/api/chat")
    async def chat() -> Response:
        asked = await read_asked(request, parse_chat)
        return await answer(streams, OLLAMA, asked, request.headers)

    @blueprint.post("/api/embed")
    async def embed() -> Response:
        return await _vectors(await read_asked(request, parse_embed))

    @blueprint.post("/api/embeddings")
    async def embeddings() -> Response:
        return await _vectors(await read_asked(request, parse_embeddings))

    async def _vectors(asked: Asked) -> Response:
        try:
            return await answer(streams, OLLAMA, asked, request.headers)
        except ModelNotFound as error:
            raise _PullFirst(error.model) from None
        except ContextOverflow:
            sentence = "the input length exceeds the context length"
            raise InvalidRequest(sentence, field="input") from None
