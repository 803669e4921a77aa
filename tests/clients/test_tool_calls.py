"""Clients of all kinds get the same calls, and their agents come to an answer: on both engines."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import anthropic
import ollama
import openai
import pytest

from benchmarks.same_calls import (
    Asked,
    Calls,
    all_asked,
    body_of,
    by_anthropic,
    by_ollama,
    by_openai,
)
from benchmarks.tool_questions import FOLDER, SETS
from tests.clients.conftest import PROGRAMS, Answers
from tests.node import NODE

MODELS = ["pocket:latest", "pocket:mlx"]
COUNT = 2  # questions of each set, with a choice and without
FEWER = {"pocket:mlx": 4}  # one of so many: MLX's CPU kernels are slow
ANSWER = "The weather is sunny."
CALLS = [["get_weather", {"city": "Paris"}], ["set_timer", {"minutes": 12}]]

needs_questions = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="No questions: set INGLENOOK_TESTDATA"
)
both_engines = pytest.mark.parametrize("model", MODELS)


# -- The same calls ----------------------------------------------------------------------


@cache
def questions(model: str) -> list[Asked]:
    return all_asked(list(SETS), COUNT)[:: FEWER.get(model, 1)]


@pytest.fixture(scope="module", params=MODELS)
def wanted(url: str, request: pytest.FixtureRequest) -> tuple[str, list[Calls | None]]:
    """A model, and what OpenAI's client is answered; None: the model came to no end."""
    model: str = request.param
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        found = [by_openai(client, model, *each) for each in questions(model)]
    assert sum(each is not None for each in found) >= len(found) / 2
    for (question, choice), calls in zip(questions(model), found, strict=True):
        lawful = question.fault([(name, json.dumps(given)) for name, given in calls or ()], choice)
        assert calls is None or lawful == "", lawful
    return model, found


def assert_the_same(
    model: str, told: Mapping[str, Sequence[Calls | None]], wanted: Sequence[Calls | None]
) -> None:
    for place, (question, choice) in enumerate(questions(model)):
        if wanted[place] is None:
            continue
        for client, calls in told.items():
            if choice == "auto" or "ollama" not in client:
                assert calls[place] == wanted[place], (client, question.id, choice)


@needs_questions
def test_every_client_of_python_gets_the_same_calls(
    url: str, wanted: tuple[str, list[Calls | None]]
):
    model, calls = wanted
    with (
        anthropic.Anthropic(base_url=url, api_key="none") as client,
        ollama.Client(host=url) as ollamas,
    ):
        told = {
            "anthropic": [by_anthropic(client, model, *each) for each in questions(model)],
            "ollama": [by_ollama(ollamas, model, *each) for each in questions(model)],
        }

    assert_the_same(model, told, calls)


@needs_questions
def test_the_ai_sdk_gets_the_same_calls(
    run: Callable[..., str], tmp_path: Path, url: str, wanted: tuple[str, list[Calls | None]]
):
    model, calls = wanted
    file = tmp_path / "questions.json"
    file.write_text(json.dumps([body_of(*each) for each in questions(model)]), encoding="utf-8")

    told = json.loads(run(NODE, PROGRAMS / "ai_sdk_tools.mjs", url, model, file).splitlines()[-1])

    assert_the_same(model, {f"AI SDK, {wire}": each for wire, each in told.items()}, calls)


# -- Agents ------------------------------------------------------------------------------


@both_engines
@pytest.mark.parametrize(
    ("client", "wires"),
    [("autogen_loop", ["chat", "ollama"]), ("pydantic_ai_loop", ["chat", "responses"])],
)
def test_an_agent_with_two_tools_comes_to_an_answer(
    answers: Answers, client: str, wires: list[str], model: str
):
    told = answers(client, "frameworks", model)

    assert told == {wire: {"answer": ANSWER, "calls": CALLS} for wire in wires}


@both_engines
def test_an_agent_of_the_ai_sdk_comes_to_an_answer(run: Callable[..., str], url: str, model: str):
    told = json.loads(run(NODE, PROGRAMS / "ai_sdk_tools.mjs", url, model).splitlines()[-1])

    wires = ["chat", "responses", "compatible", "ollama"]
    assert told == {wire: {"answer": ANSWER, "calls": CALLS} for wire in wires}
