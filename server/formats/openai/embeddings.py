"""Embeddings: https://platform.openai.com/docs/api-reference/embeddings"""

import base64
import sys
from array import array
from collections.abc import Iterable

from quart import Blueprint, Response, request

from models.chat import EmbedRequest
from models.errors import InferenceError, InvalidRequest, ModelNotFound
from models.events import Embedded, Event
from models.reply import Reply
from server.answer import Asked, End, answer
from server.body import read_asked
from server.contract import settle
from server.fields import Fields, Json
from server.formats.openai.common_fields import read_context_length, read_model
from server.formats.openai.contract import EMBEDDINGS
from server.formats.openai.prompts import read_prompts
from server.framing import Chunk
from server.keep_alive import read_keep_alive
from server.overflow import read_overflow
from server.streams import Streams
from server.wires import OPENAI

_FORMATS = ("float", "base64")
_MOST_INPUTS = 2048  # as on OpenAI's own


class NotPulled(InferenceError):
    """No such model, in Ollama's words for this route."""

    status_hint = 404

    def __init__(self, model: str) -> None:
        super().__init__(f'model "{model}" not found, try pulling it first')


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = read_model(fields)
    inputs = read_prompts(fields, "input")
    if not inputs:
        raise InvalidRequest("invalid input")  # Ollama's words
    if len(inputs) > _MOST_INPUTS:
        raise InvalidRequest(f'"input" may have at most {_MOST_INPUTS} texts.', field="input")
    if not all(inputs):
        raise InvalidRequest('"input" cannot be an empty string.', field="input")
    form = fields.text("encoding_format") or "float"
    if form not in _FORMATS:
        raise InvalidRequest(  # likewise
            f"Invalid value for 'encoding_format' = {form[:40]}. "
            "Supported values: ['float', 'base64']."
        )
    asked = EmbedRequest(
        model=model,
        inputs=inputs,
        dimensions=fields.integer("dimensions", least=1),
        overflow=read_overflow(fields),
        context_length=read_context_length(fields),
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=asked,
        stream=False,
        encoder=Encoder(model, as_base64=form == "base64"),
        ignored=settle(fields, EMBEDDINGS),
        deed="embeddings",
    )


class Encoder:
    def __init__(self, model: str, *, as_base64: bool) -> None:
        self._model = model
        self._as_base64 = as_base64

    def encode(self, event: Event) -> Iterable[Chunk]:
        return ()  # it is no stream

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Embedded)
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "embedding": self._vector(vector), "index": index}
                for index, vector in enumerate(end.vectors)
            ],
            "model": self._model,
            "usage": {"prompt_tokens": end.prompt_tokens, "total_tokens": end.prompt_tokens},
        }

    def _vector(self, vector: tuple[float, ...]) -> str | tuple[float, ...]:
        if not self._as_base64:
            return vector
        floats = array("f", vector)
        if sys.byteorder == "big":
            floats.byteswap()
        return base64.b64encode(floats.tobytes()).decode()


def add_routes(blueprint: Blueprint, streams: Streams) -> None:
    @blueprint.post("/v1/embeddings")
    async def embeddings() -> Response:
        asked = await read_asked(request, parse)
        try:
            return await answer(streams, OPENAI, asked, request.headers)
        except ModelNotFound as error:
            raise NotPulled(error.model) from None
