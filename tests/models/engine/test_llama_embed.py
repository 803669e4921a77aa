"""Embeddings and scores by llama.cpp: a real encoder, a random cross-encoder, and pocket."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import gguf
import pytest

from models import facts
from models.chat import EmbedRequest, GenerateRequest, LoadRequest, Overflow, Request, RerankRequest
from models.engine.backend import EmbedWork
from models.engine.llama import open_llama
from models.engine.llama_embed import LlamaEmbeddings
from models.engine.llama_slots import Turn
from models.engine.roster import Runner
from models.errors import ContextOverflow, InferenceError, InvalidRequest, NotAble
from models.events import (
    Embedded,
    Failed,
    Finished,
    FinishReason,
    Last,
    Loaded,
    Reranked,
    Started,
    TextDelta,
)
from models.model import Kind, Model
from models.residency import Residency
from tests.bert_models import EXAMPLE, HAPPY, cosine, write_gguf
from tests.fakes import A_TEST, a_model, find_among
from tests.listener import Listener

POCKET = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))


def model_at(path: Path, name: str) -> Model:
    found = facts.read(path)
    model = a_model(name)
    return replace(model, files=found.files, details=found.details, size_bytes=path.stat().st_size)


@pytest.fixture(scope="module")
def residency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Residency]:
    folder = tmp_path_factory.mktemp("random")
    write_gguf(folder / "rank.gguf", gguf.PoolingType.RANK)
    write_gguf(folder / "cls.gguf", gguf.PoolingType.CLS)
    models = [
        model_at(POCKET, "pocket"),
        model_at(folder / "rank.gguf", "rank"),
        model_at(folder / "cls.gguf", "cls"),
    ]
    opened = Residency(find_among(*models), {Kind.LLAMA: Runner(open_llama)})
    for model in models:
        assert isinstance(ask(opened, LoadRequest(model=str(model.name))), Loaded)
    yield opened
    opened.close()


@pytest.fixture
def minilm(testdata: Path) -> Iterator[Residency]:
    model = model_at(testdata / "models/all-MiniLM-L6-v2-Q8_0.gguf", "minilm")
    residency = Residency(find_among(model), {Kind.LLAMA: Runner(open_llama)})
    yield residency
    residency.close()


def ask(residency: Residency, request: Request) -> Last:
    listener = Listener()
    residency.submit(request, listener, origin=A_TEST)
    return listener.end()


def embedded(residency: Residency, *inputs: str | tuple[int, ...], **changes: Any) -> Embedded:
    values: dict[str, Any] = {"model": "cls", "inputs": inputs, **changes}
    end = ask(residency, EmbedRequest(**values))
    assert isinstance(end, Embedded), end
    return end


def refused(residency: Residency, *inputs: str | tuple[int, ...], **changes: Any) -> InferenceError:
    values: dict[str, Any] = {"model": "cls", "inputs": inputs, **changes}
    end = ask(residency, EmbedRequest(**values))
    assert isinstance(end, Failed), end
    return end.error


def test_the_vectors_are_those_of_sentence_transformers(minilm: Residency):
    found = embedded(minilm, *HAPPY, EXAMPLE, model="minilm")

    happy, very_happy, sunny, example = found.vectors
    assert cosine(happy, very_happy) == pytest.approx(0.943, abs=0.01)
    assert cosine(happy, sunny) == pytest.approx(0.257, abs=0.01)
    assert example[:4] == pytest.approx((0.06766, 0.06350, 0.04871, 0.07930), abs=0.004)


def test_an_input_may_be_the_tokens_that_it_would_have(minilm: Residency):
    text, bare, whole = embedded(
        minilm, "hello world", (7592, 2088), (101, 7592, 2088, 102), model="minilm"
    ).vectors

    assert bare == pytest.approx(text, abs=1e-5)
    assert whole == pytest.approx(text, abs=1e-5)


def test_each_of_many_inputs_has_its_own_vector_and_its_tokens_are_counted(residency: Residency):
    texts = [" ".join("abcdefghij"[: 1 + place % 10]) for place in range(100)]

    found = embedded(residency, *texts)

    assert found.prompt_tokens == sum(2 + len(text.split()) for text in texts)
    for place in (0, 42, 99):
        (alone,) = embedded(residency, texts[place]).vectors
        # Its attention is reckoned in 16 bit, which is not the same in company.
        assert found.vectors[place] == pytest.approx(alone, abs=1e-3)


def test_fewer_dimensions_are_the_first_ones_and_of_unit_length_again(residency: Residency):
    (whole,) = embedded(residency, "a b c").vectors
    (short,) = embedded(residency, "a b c", dimensions=5).vectors

    assert len(short) == 5
    assert sum(each * each for each in short) == pytest.approx(1.0)
    assert cosine(short, whole[:5]) == pytest.approx(1.0)


def test_what_is_too_long_is_refused_with_the_counts_or_cut(residency: Residency):
    long = "a " * 300

    error = refused(residency, "b", long)
    (cut,) = embedded(residency, long, overflow=Overflow.TRUNCATE).vectors
    (fits,) = embedded(residency, "a " * 126).vectors

    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_length) == (302, 128)
    assert "Input 2 has 302 tokens and the context holds 128" in str(error)
    assert cut == pytest.approx(fits, abs=1e-5)


@pytest.mark.parametrize(
    ("inputs", "changes", "named"),
    [
        ((), {}, "no text to embed"),
        (((1 << 40,),), {}, "token numbers in the input that this model does not know"),
        (((5, 1_000_000),), {}, "token numbers in the input that this model does not know"),
        (((-1,),), {}, "token numbers in the input that this model does not know"),
        (("a",), {"dimensions": 33}, "have 32 dimensions: it cannot make them with 33"),
        (("a",), {"dimensions": 0}, "cannot make them with 0"),
    ],
)
def test_what_cannot_be_embedded_is_one_sentence_and_the_others_go_on(
    residency: Residency, inputs: tuple[Any, ...], changes: dict[str, Any], named: str
):
    error = refused(residency, *inputs, **changes)

    assert isinstance(error, InvalidRequest)
    assert named in str(error)
    assert embedded(residency, "a").vectors


def test_a_cross_encoder_scores_each_document(residency: Residency):
    documents = ("b", "c x", "a b c")
    end = ask(residency, RerankRequest(model="rank", query="a b c", documents=documents))
    other_way = ask(
        residency, RerankRequest(model="rank", query="a b c", documents=documents[::-1])
    )

    assert isinstance(end, Reranked)
    assert isinstance(other_way, Reranked)
    assert end.by == "cross-encoder"
    assert end.scores == pytest.approx(other_way.scores[::-1], abs=1e-2)
    assert len({round(each, 3) for each in end.scores}) == 3
    assert end.prompt_tokens == 3 * (3 + 3) + 1 + 2 + 3


def test_a_cross_encoder_cuts_documents_that_are_too_long(residency: Residency):
    long, query = "a " * 300, "b c"
    refused = ask(residency, RerankRequest(model="rank", query=query, documents=("x", long)))
    request = RerankRequest(
        model="rank", query=query, documents=("x", long), overflow=Overflow.TRUNCATE
    )
    cut = ask(residency, request)

    assert isinstance(refused, Failed)
    assert "Document 2, with the query, has" in str(refused.error)
    assert isinstance(cut, Reranked)
    assert len(cut.scores) == 2


def test_documents_are_ranked_by_their_vectors_where_the_model_makes_those(minilm: Residency):
    query, *documents = HAPPY
    end = ask(minilm, RerankRequest(model="minilm", query=query, documents=tuple(documents)))

    assert isinstance(end, Reranked)
    assert end.by == "embeddings"
    assert end.scores == pytest.approx((0.943, 0.257), abs=0.01)


def test_a_model_that_writes_embeds_meanwhile(residency: Residency):
    writing = Listener()
    ticket = residency.submit(
        GenerateRequest(model="pocket", prompt="Once upon a time", max_tokens=300),
        writing,
        origin=A_TEST,
    )
    writing.until(TextDelta)

    found = embedded(residency, "Paris", "London " * 400, "Paris", model="pocket")
    residency.cancel(ticket)

    first, _, again = found.vectors
    assert first == pytest.approx(again, abs=1e-5)
    assert cosine(first, first) == pytest.approx(1.0, abs=1e-5)
    assert isinstance(writing.end(), Finished)


def test_a_model_that_writes_embeds_a_text_that_is_cut_to_its_context(residency: Residency):
    asked = {"model": "pocket", "overflow": Overflow.TRUNCATE}

    cut = embedded(residency, tuple(range(100, 140)) * 100, **asked)

    assert cut.prompt_tokens == 2047  # llama.cpp takes no row that fills its context
    end = ask(residency, RerankRequest(query="a", documents=("b " * 5000,), **asked))
    assert isinstance(end, Reranked), end


def test_an_encoder_writes_nothing_and_a_cross_encoder_has_no_vectors(residency: Residency):
    completion = ask(residency, GenerateRequest(model="cls", prompt="a"))

    assert isinstance(completion, Failed)
    assert isinstance(completion.error, NotAble)
    assert isinstance(refused(residency, "a", model="rank"), NotAble)


def test_a_thousand_inputs_are_cancelled_and_the_next_request_is_served(residency: Residency):
    listener = Listener()
    inputs = tuple("a b c d e f g h " * 10 for _ in range(1000))
    ticket = residency.submit(EmbedRequest(model="cls", inputs=inputs), listener, origin=A_TEST)
    while listener.nothing_more() and not listener.progress:
        time.sleep(0.01)
    residency.cancel(ticket)

    end = listener.end()

    assert isinstance(end, Finished)
    assert end.reason is FinishReason.CANCELLED
    assert embedded(residency, "a").vectors
    assert listener.nothing_more()
    assert not any(isinstance(event, Started) for event in listener.events)


def turns_of(rows: int, **facts: Any) -> tuple[LlamaEmbeddings, list[Turn], Callable[[], int]]:
    details = replace(a_model().details, **facts)
    embeddings, order = LlamaEmbeddings(details), partial(next, count())
    work = EmbedWork(rows=((7, 8, 9),) * rows)
    return embeddings, list(embeddings.add(1, work, order)), order


def test_a_model_that_writes_is_asked_for_one_row_at_a_time_each_behind_what_came_meanwhile():
    embeddings, turns, order = turns_of(3)
    assert [turn.places for turn in turns] == [range(1)]
    newcomer = order()

    (after,) = embeddings.after(1, order)

    assert after.places == range(1, 2)
    assert after.order > newcomer
    assert after.cells == 3


def test_an_encoder_is_asked_for_many_rows_at_once_and_for_no_more_when_nobody_wants_them():
    embeddings, turns, order = turns_of(1000, completes=False, pooling="mean")

    assert [len(turn.places) for turn in turns] == [32] * 8
    assert embeddings.remove(1)
    assert not list(embeddings.after(1, order))
    assert not embeddings.remove(1)
