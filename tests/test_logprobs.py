"""Log-probabilities from a real model to the wires, on each engine that has them."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from app.services import open_everything
from models import abilities
from models.abilities import Ability
from models.engine.installed import has_mlx
from models.model import Kind
from tests.server.conftest import Answer, FakeStore, Serving

WORDS = "Where is the Eiffel Tower?"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        serving = Serving(services.residency, FakeStore(services.store.list()))
        yield serving
        serving.server.stop()


@pytest.fixture(scope="module", params=list(Kind))
def model(serving: Serving, request: pytest.FixtureRequest) -> str:
    """A model of this kind that can tell, loaded already: its threads outlive a test."""
    kind: Kind = request.param
    if Ability.LOGPROBS not in abilities.ENGINES[kind]:
        pytest.skip(f"{kind} has no log-probabilities yet")
    if kind is Kind.MLX and not has_mlx():
        pytest.skip("MLX is not installed here")
    body = serving.ask("GET", "/api/tags").json
    form = {Kind.LLAMA: "gguf", Kind.MLX: "safetensors"}[kind]
    name = next(each["name"] for each in body["models"] if each["details"]["format"] == form)
    assert asked_of_openai(serving, name).status == 200
    return name


def asked_of_openai(serving: Serving, model: str, **more: Any) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": WORDS}], "temperature": 0}
    return serving.ask("POST", "/v1/chat/completions", body | {"max_tokens": 12} | more)


def asked_of_ollama(serving: Serving, model: str, **more: Any) -> Answer:
    options = {"temperature": 0, "num_predict": 12}
    body = {"model": model, "messages": [{"role": "user", "content": WORDS}], "options": options}
    return serving.ask("POST", "/api/chat", body | more)


def check(tokens: list[Any], text: str, top: int) -> None:
    assert bytes(byte for each in tokens for byte in each["bytes"]).decode() == text
    for each in tokens:
        assert each["logprob"] <= 0
        likeliest = each.get("top_logprobs", [])
        assert len(likeliest) == top
        odds = [other["logprob"] for other in likeliest]
        assert odds == sorted(odds, reverse=True)
        assert sum(map(math.exp, odds)) <= 1.0001
        if top:  # at temperature 0
            assert likeliest[0]["token"] == each["token"]
            assert likeliest[0]["logprob"] == pytest.approx(each["logprob"], abs=1e-4)


@pytest.mark.parametrize("top", [0, 3, 20])
def test_openai_is_told_how_likely_each_token_was(serving: Serving, model: str, top: int) -> None:
    whole = asked_of_openai(serving, model, logprobs=True, top_logprobs=top).json["choices"][0]
    check(whole["logprobs"]["content"], whole["message"]["content"], top)

    chunks = asked_of_openai(serving, model, logprobs=True, top_logprobs=top, stream=True).events
    choices = [each["choices"][0] for each in chunks]
    tokens = [token for each in choices for token in (each["logprobs"] or {}).get("content", [])]
    check(tokens, "".join(each["delta"].get("content", "") for each in choices), top)
    for token, streamed in zip(whole["logprobs"]["content"], tokens, strict=True):
        assert token["bytes"] == streamed["bytes"]


@pytest.mark.parametrize("top", [0, 5])
def test_ollama_is_told_how_likely_each_token_was(serving: Serving, model: str, top: int) -> None:
    lines = asked_of_ollama(serving, model, logprobs=True, top_logprobs=top).lines
    tokens = [token for each in lines for token in each.get("logprobs", [])]
    check(tokens, "".join(each["message"]["content"] for each in lines), top)

    whole = asked_of_ollama(serving, model, logprobs=True, top_logprobs=top, stream=False).json
    check(whole["logprobs"], whole["message"]["content"], top)


def test_who_does_not_ask_is_not_told(serving: Serving, model: str) -> None:
    assert asked_of_openai(serving, model).json["choices"][0]["logprobs"] is None
    assert not [each for each in asked_of_ollama(serving, model).lines if "logprobs" in each]


def test_the_numbers_are_json(serving: Serving, model: str) -> None:
    answer = asked_of_openai(serving, model, logprobs=True, top_logprobs=20)

    json.loads(answer.body, parse_constant=pytest.fail)
