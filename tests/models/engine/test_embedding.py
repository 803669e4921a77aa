"""What comes of rows is told once, when all of it is there."""

import math

import pytest

from models.chat import EmbedRequest, RerankRequest
from models.engine.backend import EmbedWork, Pooled, SequenceFailed
from models.engine.embedding import Embedding, unit
from models.errors import InferenceError
from models.events import Embedded, Event, Failed, Progress, Reranked, Stage

THREE = EmbedWork(rows=((1,), (1, 2), (1, 2, 3)))
ASKED = EmbedRequest(model="m", inputs=("a", "b", "c"))
A, B, C = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8)


def told(embedding: Embedding, *vectors: dict[int, tuple[float, ...]]) -> list[Event]:
    return [event for each in vectors for event in embedding.take(Pooled(1, each))]


def test_vectors_come_in_the_order_of_the_inputs_and_with_the_count_of_their_tokens():
    events = told(Embedding(ASKED, THREE), {2: C}, {0: A, 1: B})

    assert events == [Progress(Stage.PREFILL, 3, 6), Embedded((A, B, C), 6)]


def test_fewer_dimensions_are_of_unit_length_again():
    asked = EmbedRequest(model="m", inputs=("a",), dimensions=2)
    (event,) = told(Embedding(asked, EmbedWork(rows=((1,),))), {0: (0.6, 0.0, 0.8)})

    assert event == Embedded(((1.0, 0.0),), 1)


def test_documents_are_ranked_by_the_cosine_with_the_query():
    asked = RerankRequest(model="m", query="q", documents=("a", "b"))
    (event,) = told(Embedding(asked, THREE), {0: C, 1: A, 2: B})

    assert event == Reranked((0.6, 0.8), "embeddings", 6)


def test_a_cross_encoders_numbers_are_the_scores():
    asked = RerankRequest(model="m", query="q", documents=("a", "b", "c"))
    work = EmbedWork(rows=THREE.rows, query="q", documents=("a", "b", "c"))
    (event,) = told(Embedding(asked, work), {1: (-3.5,), 0: (2.0,), 2: (0.0,)})

    assert event == Reranked((2.0, -3.5, 0.0), "cross-encoder", 6)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_is_an_error(number: float):
    (event,) = told(Embedding(ASKED, THREE), {0: A, 1: (number, 0.0), 2: C})

    assert isinstance(event, Failed)
    assert "may be damaged" in str(event.error)


def test_an_error_is_the_end():
    error = InferenceError("no")

    assert list(Embedding(ASKED, THREE).take(SequenceFailed(1, error))) == [Failed(error)]


def test_nothing_is_of_any_length():
    assert unit((0.0, 0.0)) == (0.0, 0.0)
    assert unit((3.0, 4.0)) == (0.6, 0.8)
