"""Texts to vectors, and documents to scores: all of it but the model. Pure."""

import math
from collections.abc import Iterator
from operator import mul

from models.chat import EmbedRequest, RerankRequest
from models.engine.backend import EmbedWork, Output, Pooled, SequenceFailed
from models.errors import InferenceError
from models.events import (
    Embedded,
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    Reranked,
    Stage,
)

Vector = tuple[float, ...]


class Embedding:
    """One request, from its rows to its end: a backend's outputs in, events out.

    Feed it every output of its ticket, and ``cancel`` it at most once.
    """

    def __init__(
        self, request: EmbedRequest | RerankRequest, work: EmbedWork, load_seconds: float = 0.0
    ) -> None:
        self._load_seconds = load_seconds
        self._request = request
        self._work = work
        self._vectors: dict[int, Vector] = {}
        self._done_tokens = 0
        self._total_tokens = sum(map(len, work.rows))

    def take(self, output: Output) -> Iterator[Event]:
        match output:
            case Pooled(_, vectors):
                self._vectors |= vectors
                self._done_tokens += sum(len(self._work.rows[place]) for place in vectors)
                if len(self._vectors) == len(self._work.rows):
                    yield self._last()
                else:
                    yield Progress(Stage.PREFILL, self._done_tokens, self._total_tokens)
            case SequenceFailed(_, error):
                yield Failed(error)
            case _:
                pass

    def cancel(self) -> Finished:
        """Return the end of a request that its asker has had enough of."""
        return Finished(FinishReason.CANCELLED)

    def _last(self) -> Embedded | Reranked | Failed:
        vectors = [self._vectors[place] for place in range(len(self._work.rows))]
        if any(not math.isfinite(each) for vector in vectors for each in vector):
            sentence = "The model made no number of a text: its files may be damaged."
            return Failed(InferenceError(sentence))
        match self._request:
            case EmbedRequest(dimensions=dimensions):
                return self._embedded(vectors, dimensions)
            case RerankRequest():
                return self._reranked(vectors)

    def _embedded(self, vectors: list[Vector], dimensions: int | None) -> Embedded:
        if dimensions:
            vectors = [unit(vector[:dimensions]) for vector in vectors]
        return Embedded(tuple(vectors), self._total_tokens, self._load_seconds)

    def _reranked(self, vectors: list[Vector]) -> Reranked:
        if self._work.documents:
            scores = tuple(score for (score,) in vectors)
            return Reranked(scores, "cross-encoder", self._total_tokens)
        query, *documents = vectors
        cosines = tuple(sum(map(mul, query, each)) for each in documents)
        return Reranked(cosines, "embeddings", self._total_tokens)


def unit(vector: Vector) -> Vector:
    """Return the vector with a length of 1, where it has any."""
    length = math.hypot(*vector)
    return tuple(each / length for each in vector) if length else vector
