"""Ollama's embed, and the older embeddings: texts in, vectors out."""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, cast

from models.chat import EmbedRequest, LoadRequest, Overflow
from models.engine.embedding import unit
from models.errors import InvalidRequest, ModelNotFound
from models.events import Embedded, Event, Loaded
from models.reply import Reply
from server.answer import Asked, End
from server.contract import Route, settle
from server.fields import Fields, Json
from server.formats.ollama.contract import EMBED, EMBEDDINGS
from server.formats.ollama.encoder import nanoseconds
from server.framing import Chunk
from server.keep_alive import read_keep_alive
from server.sampling import read_limit

_WRONG_INPUT = "invalid input type"  # Ollama's words


def parse_embed(body: Json) -> Asked:
    """Raises InvalidRequest, ModelNotFound."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise ModelNotFound("")
    inputs = _inputs(fields)
    refuses = fields.flag("truncate") is False
    dimensions = fields.integer("dimensions", least=0) or None
    return _asked(fields, EMBED, model, inputs, Vectors(model, dimensions), refuses=refuses)


def parse_embeddings(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required")
    prompt = fields.text("prompt")
    return _asked(fields, EMBEDDINGS, model, (prompt,) if prompt else (), Vector(), refuses=False)


def _asked(
    fields: Fields,
    route: Route,
    model: str,
    inputs: Sequence[str],
    encoder: "Vectors | Vector",
    *,
    refuses: bool,
) -> Asked:
    options = fields.inner("options")
    context_length = read_limit(options, "num_ctx") if options else None
    keep_alive = read_keep_alive(fields)
    request = EmbedRequest(
        model=model,
        inputs=tuple(inputs),
        overflow=Overflow.REFUSE if refuses else Overflow.TRUNCATE,
        context_length=context_length,
        keep_alive_seconds=keep_alive,
    )
    load = LoadRequest(model=model, context_length=context_length, keep_alive_seconds=keep_alive)
    return Asked(
        request=request if inputs else load,
        stream=False,
        encoder=encoder,
        ignored=settle(fields, route),
        deed="embeddings",
    )


def _inputs(fields: Fields) -> tuple[str, ...]:
    """A text, or a list of them; () where there is nothing in it."""
    value = fields.value("input")
    if value is None or value == "":
        return ()
    several = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in several):
        raise InvalidRequest(_WRONG_INPUT, field="input")
    return tuple(several)


class Vectors:
    """The answer of embed. Of more dimensions than a vector has, all are given."""

    def __init__(self, model: str, dimensions: int | None) -> None:
        self._model = model
        self._dimensions = dimensions
        self._asked = monotonic()

    def encode(self, event: Event) -> Iterator[Chunk]:
        raise AssertionError("vectors are no stream")

    def whole(self, reply: Reply, end: End) -> Json:
        vectors: list[list[float]] = []
        counted: Json = {}
        match end:
            case Embedded(found, prompt_tokens, load_seconds):
                vectors = [list(unit(each[: self._dimensions])) for each in found]
                counted = {
                    "total_duration": nanoseconds(monotonic() - self._asked),
                    "load_duration": nanoseconds(load_seconds),
                    "prompt_eval_count": prompt_tokens,
                }
            case Loaded():
                pass
            case _:
                raise AssertionError("texts end as vectors")
        return {"model": self._model, "embeddings": vectors, **counted}


class Vector:
    """The answer of the older route."""

    def encode(self, event: Event) -> Iterator[Chunk]:
        raise AssertionError("a vector is no stream")

    def whole(self, reply: Reply, end: End) -> Json:
        if isinstance(end, Embedded):
            return {"embedding": list(end.vectors[0])}
        return {"embedding": []}
