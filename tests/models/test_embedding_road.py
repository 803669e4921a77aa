"""A request for vectors or ranks goes the way of every other: the door, the lane, the end."""

from collections.abc import Iterator
from typing import Any

import pytest

from models.chat import EmbedRequest, GenerateRequest, Request, RerankRequest, UnloadRequest
from models.errors import ContextOverflow, InferenceError, ModelCrashed, ModelNotFound
from models.events import (
    Embedded,
    Failed,
    Finished,
    FinishReason,
    Last,
    Reranked,
    TextDelta,
    Unloaded,
)
from models.residency import Residency
from tests.fakes import A_TEST, ScriptedBackend, scripted_residency
from tests.listener import Listener


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
def residency(backend: ScriptedBackend) -> Iterator[Residency]:
    residency = scripted_residency(backend)
    yield residency
    residency.close()


def start(residency: Residency, request: Request) -> tuple[Listener, int]:
    listener = Listener()
    return listener, residency.submit(request, listener, origin=A_TEST)


def embed(residency: Residency, *inputs: str, **changes: Any) -> tuple[Listener, int]:
    values: dict[str, Any] = {"model": "scripted", "inputs": inputs, **changes}
    return start(residency, EmbedRequest(**values))


def test_vectors_come_of_a_model_that_is_loaded_for_them(residency: Residency):
    listener, _ = embed(residency, "a", "abc", "a")

    end = listener.end()

    assert isinstance(end, Embedded)
    assert len(end.vectors) == 3
    assert end.vectors[0] == end.vectors[2] != end.vectors[1]
    assert end.prompt_tokens == 3 + 5 + 3
    assert [each.done for each in listener.progress][-2:] == [3, 8]
    (resident,) = residency.residents()
    assert resident.idle
    assert not residency.running()


def test_documents_are_ranked(residency: Residency):
    listener, _ = start(
        residency, RerankRequest(model="scripted", query="aa", documents=("aa", "zzzzzz"))
    )

    end = listener.end()

    assert isinstance(end, Reranked)
    assert end.by == "embeddings"
    assert end.scores[0] == pytest.approx(1.0)
    assert end.scores[1] < end.scores[0]


def test_how_long_the_model_stays_is_the_requests_to_say(
    residency: Residency, backend: ScriptedBackend
):
    embed(residency, "a", keep_alive_seconds=0.0)[0].end()

    assert backend.closed
    assert residency.residents() == ()


def test_a_request_can_be_cancelled_while_its_rows_are_under_way(
    residency: Residency, backend: ScriptedBackend
):
    backend.hold = True
    listener, ticket = embed(residency, *"abc")
    while not backend.rows:
        assert listener.nothing_more()

    residency.cancel(ticket)

    assert listener.end() == Finished(FinishReason.CANCELLED)
    assert not backend.rows
    assert listener.nothing_more()


def test_a_bad_input_fails_its_request_and_no_other(residency: Residency):
    running, ticket = start(residency, GenerateRequest(model="scripted", prompt="hello"))
    running.until(TextDelta)
    good, _ = embed(residency, "good")
    bad, _ = embed(residency, "a", "b" * 1000)

    end = bad.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, ContextOverflow)
    assert isinstance(good.end(), Embedded)
    running.until(TextDelta)
    residency.cancel(ticket)
    assert isinstance(running.end(), Finished)


def test_a_text_goes_on_while_a_thousand_inputs_are_embedded(residency: Residency):
    many, ticket = embed(residency, *["a"] * 1000)
    running, _ = start(residency, GenerateRequest(model="scripted", prompt="x", max_tokens=20))

    assert isinstance(running.end(), Finished)
    assert many.nothing_more(), "the thousand are not through yet"
    residency.cancel(ticket)
    many.end()


@pytest.mark.parametrize("gone", ["crash", "close"])
def test_a_model_that_goes_ends_what_it_had_once(
    residency: Residency, backend: ScriptedBackend, gone: str
):
    backend.hold = True
    listener, _ = embed(residency, "a")
    while not backend.rows:
        assert listener.nothing_more()

    if gone == "crash":
        backend.fail_step = ModelCrashed("gone")
        embed(residency, "b")  # which has the lane look again
    else:
        residency.close()

    end: Last = listener.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, InferenceError)
    assert listener.nothing_more()


def test_an_unload_waits_for_the_vectors(residency: Residency, backend: ScriptedBackend):
    backend.hold = True
    listener, _ = embed(residency, "a")
    while not backend.rows:
        assert listener.nothing_more()
    unloaded, _ = start(residency, UnloadRequest(model="scripted"))

    backend.hold = False

    assert isinstance(listener.end(), Embedded)
    assert unloaded.end() == Unloaded()


def test_a_model_that_is_not_there_is_told(residency: Residency):
    end = embed(residency, "a", model="nobody")[0].end()

    assert isinstance(end, Failed)
    assert isinstance(end.error, ModelNotFound)
