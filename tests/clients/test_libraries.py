"""The libraries that people reach a model through: each asks the same, in each of its ways."""

from typing import Any

import pytest

from tests import documents
from tests.clients.conftest import EMBEDDER, Answers, python_of
from tests.conftest import REPOSITORY

ANSWER = "2 + 2 = 4."
TOKENIZER = str(REPOSITORY / "resources/pocket/mlx")

BOTH = ["chat", "stream", "async_chat", "async_stream", "tool", "structured"]


def each_of(*wires: str, steps: list[str] = BOTH) -> list[str]:
    return [f"{wire}{step}" for wire in wires for step in steps]


#: Every client's environment, and its steps, with the wire before them where it has several.
CLIENTS = {
    "litellm": ("frameworks", [*each_of("", "ollama_"), *each_of("anthropic_", steps=BOTH[:-1])]),
    "langchain_openai": (
        "frameworks",
        [
            *BOTH,
            "structured_by_function",
            *each_of("responses_", steps=["chat", "stream", "tool"]),
        ],
    ),
    "langchain_ollama": ("frameworks", [*BOTH, "generate"]),
    "pydantic_ai": (
        "frameworks",
        [
            *each_of(
                "", "responses_", "ollama_", steps=["chat", "async_chat", "async_stream", "tool"]
            ),
            "structured",
            "structured_by_function",
        ],
    ),
    "llm": ("frameworks", each_of("", "ollama_")),
    "huggingface_hub": ("frameworks", BOTH),
    "autogen": (
        "frameworks",
        [
            *each_of("", "ollama_", steps=["async_chat", "async_stream", "tool", "structured"]),
            "talk",
        ],
    ),
    "pyautogen": ("pyautogen", ["chat", "async_chat", "tool", "talk"]),
    "instructor": (
        "instructor",
        ["structured", "structured_by_function", "structured_async", "structured_stream"],
    ),
}
WITH_VECTORS = ["litellm", "langchain_openai", "langchain_ollama"]
STEPS = [(client, step) for client, (_, steps) in CLIENTS.items() for step in steps]


def is_right(step: str, answer: Any) -> None:
    if "structured" in step:
        assert answer["operation"] == "plus"
        assert answer["result"] in (3, 4, "three", "four")
    elif step.endswith("tool"):
        assert answer == ["get_weather", {"city": "Paris"}]
    else:
        assert answer == ANSWER


@pytest.mark.parametrize(("client", "step"), STEPS)
def test_it_gets_what_it_asked_for(answers: Answers, client: str, step: str):
    is_right(step, answers(client, CLIENTS[client][0])[step])


@pytest.mark.parametrize("client", CLIENTS)
def test_no_step_is_taken_unseen(answers: Answers, client: str):
    environment, steps = CLIENTS[client]

    assert answers(client, environment).keys() - {"vector"} == set(steps)


@pytest.mark.skipif(not EMBEDDER, reason="No embedding model: set INGLENOOK_TESTDATA")
@pytest.mark.parametrize("client", WITH_VECTORS)
def test_it_gets_a_vector(answers: Answers, client: str):
    assert answers(client, CLIENTS[client][0])["vector"] == 384


class TestAiSdk:
    @pytest.mark.parametrize("wire", ["chat", "responses", "compatible", "ollama"])
    @pytest.mark.parametrize("step", ["chat", "stream", "tool", "structured", "structured_stream"])
    def test_it_gets_what_it_asked_for(self, ai_sdk: dict[str, Any], wire: str, step: str):
        is_right(step, ai_sdk[f"{wire}_{step}"])

    @pytest.mark.skipif(not EMBEDDER, reason="No embedding model: set INGLENOOK_TESTDATA")
    def test_it_gets_vectors(self, ai_sdk: dict[str, Any]):
        assert (ai_sdk["vector"], ai_sdk["ollama_vector"]) == (384, 384)


class TestEvaluationHarness:
    @pytest.mark.parametrize("way", ["ids", "texts"])
    def test_likelihoods_and_generations_are_the_models_own(self, answers: Answers, way: str):
        told = answers("lm_eval", "evaluation", TOKENIZER)

        assert told[f"choice_by_{way}"] == 1  # it finds each right answer likelier
        assert told[f"generation_by_{way}"] == 1  # and gives it, to the letter
        assert 1 <= told[f"perplexity_by_{way}"] < 1.2  # of sums that it knows


@pytest.mark.skipif(not documents.available(), reason=f"No documents at {documents.FOLDER}")
def test_the_autogen_script_of_the_blog(url: str, run: Any):
    script = documents.autogen_program().replace("http://localhost:11434", url)

    said = run(python_of("pyautogen"), "-c", script, stdin="exit\n")

    _, _, answered = said.partition("assistant (to user_proxy):\n\n")
    assert answered.splitlines()[0]
