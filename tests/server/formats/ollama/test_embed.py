"""Ollama's embed and embeddings as pure functions."""

import math
from typing import Any

import pytest

from models.chat import EmbedRequest, LoadRequest, Overflow
from models.errors import InvalidRequest, ModelNotFound
from models.events import Embedded, Loaded
from models.reply import Reply
from server.formats.ollama.embed import Vector, Vectors, parse_embed, parse_embeddings


def embed(**body) -> Any:
    return parse_embed({"model": "tiny"} | body).request


def embeddings(**body) -> Any:
    return parse_embeddings({"model": "tiny"} | body).request


def test_texts_are_cut_where_they_are_too_long():
    assert embed(input="hi") == EmbedRequest(
        model="tiny", inputs=("hi",), overflow=Overflow.TRUNCATE
    )
    assert embed(input=["a", "", "b"]).inputs == ("a", "", "b")
    assert embed(input="hi", truncate=False).overflow is Overflow.REFUSE
    assert embeddings(prompt="hi").inputs == ("hi",)


@pytest.mark.parametrize("said", [{}, {"input": ""}, {"input": []}, {"input": None}])
def test_nothing_to_embed_loads_the_model(said):
    asked = embed(**said, keep_alive=-1, options={"num_ctx": 64})

    assert asked == LoadRequest(model="tiny", context_length=64, keep_alive_seconds=math.inf)
    assert embeddings() == LoadRequest(model="tiny")


@pytest.mark.parametrize("wrong", [5, [1, 2], ["a", 2], {"a": 1}, True])
def test_what_is_no_text_is_refused_in_ollamas_words(wrong):
    with pytest.raises(InvalidRequest, match=r"^invalid input type$"):
        embed(input=wrong)


def test_a_model_must_be_named():
    with pytest.raises(ModelNotFound):
        parse_embed({"input": "x"})
    with pytest.raises(InvalidRequest, match=r"^model is required$"):
        parse_embeddings({"prompt": "x"})


def test_options_of_drawing_are_told_to_be_without_effect():
    ignored = parse_embed(
        {"model": "m", "input": "x", "options": {"temperature": 0, "num_ctx": 9}}
    ).ignored

    assert ignored == ("options.temperature",)


def test_the_first_dimensions_are_of_unit_length_and_more_than_there_are_is_all():
    def said(dimensions):
        end = Embedded(((0.6, 0.0, 0.8),), 3, 0.5)
        return Vectors("tiny", dimensions).whole(Reply(), end)

    assert said(2)["embeddings"] == [[1.0, 0.0]]
    assert said(9999)["embeddings"] == said(None)["embeddings"] == [[0.6, 0.0, 0.8]]
    with pytest.raises(InvalidRequest, match="at least 0"):
        embed(input="x", dimensions=-1)


def test_an_answer_has_what_it_took():
    said = Vectors("tiny", None).whole(Reply(), Embedded(((1.0,),), 3, 0.5))

    assert said.pop("total_duration") >= 0
    assert said == {
        "model": "tiny",
        "embeddings": [[1.0]],
        "load_duration": 500_000_000,
        "prompt_eval_count": 3,
    }


def test_a_model_that_was_loaded_has_no_vectors_yet():
    assert Vectors("tiny", None).whole(Reply(), Loaded()) == {"model": "tiny", "embeddings": []}
    assert Vector().whole(Reply(), Loaded()) == {"embedding": []}
    assert Vector().whole(Reply(), Embedded(((0.5,),), 1)) == {"embedding": [0.5]}
