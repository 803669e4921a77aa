"""Clients of all kinds get the same calls, and their agents come to an answer: on both engines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest

from benchmarks.tool_calls import choice_for
from benchmarks.tool_questions import FOLDER, IRRELEVANCE, SETS, ToolQuestion, tool_questions
from tests.clients.conftest import PROGRAMS, Answers
from tests.node import NODE

JSON = dict[str, Any]
Calls = list[list[Any]]  # each a name, and its arguments
MODELS = ["pocket:latest", "pocket:mlx"]
COUNT = 4  # questions of each set, with a choice and without
MAX_TOKENS = 150
ANSWER = "The weather is sunny."
CALLS = [["get_weather", {"city": "Paris"}], ["set_timer", {"minutes": 12}]]

both_engines = pytest.mark.parametrize("model", MODELS)


# -- The same calls ----------------------------------------------------------------------


def questions() -> list[tuple[ToolQuestion, str | JSON]]:
    """A call is required of some, and all are free to call again: Ollama's wire has no choice."""
    found = [
        (each, place) for kind in SETS for place, each in enumerate(tool_questions(kind, COUNT))
    ]
    required = [
        (each, choice_for(each, place)) for each, place in found if each.kind != IRRELEVANCE
    ]
    return [*required, *((each, "auto") for each, _ in found)]


def by_openai(url: str, model: str, question: ToolQuestion, choice: str | JSON) -> Calls | None:
    """None: it was cut off."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        asked: Any = {"messages": question.messages, "tools": question.tools, "tool_choice": choice}
        reply = client.chat.completions.create(
            model=model, temperature=0, max_tokens=MAX_TOKENS, **asked
        )
    (said,) = reply.choices
    if said.finish_reason == "length":
        return None
    return [
        [call.function.name, json.loads(call.function.arguments)]
        for call in said.message.tool_calls or ()
        if call.type == "function"
    ]


def by_anthropic(url: str, model: str, question: ToolQuestion, choice: str | JSON) -> Calls:
    with anthropic.Anthropic(base_url=url, api_key="none") as client:
        named = (
            {"type": "tool", "name": choice["function"]["name"]} if isinstance(choice, dict) else {}
        )
        tools = [
            {
                "name": each["function"]["name"],
                "description": each["function"]["description"],
                "input_schema": each["function"]["parameters"],
            }
            for each in question.tools
        ]
        said = [each for each in question.messages if each["role"] != "system"]
        system = "\n".join(
            each["content"] for each in question.messages if each["role"] == "system"
        )
        asked: Any = {
            "messages": said,
            "tools": tools,
            "tool_choice": named or {"type": "any" if choice == "required" else "auto"},
            **({"system": system} if system else {}),
        }
        reply = client.messages.create(model=model, temperature=0, max_tokens=MAX_TOKENS, **asked)
    return [[each.name, each.input] for each in reply.content if each.type == "tool_use"]


def by_ollama(url: str, model: str, question: ToolQuestion) -> Calls:
    asked: Any = {"messages": question.messages, "tools": question.tools}
    reply = ollama.Client(host=url).chat(
        model=model, options={"temperature": 0, "num_predict": MAX_TOKENS}, **asked
    )
    return [
        [call.function.name, dict(call.function.arguments)]
        for call in reply.message.tool_calls or ()
    ]


@pytest.mark.skipif(not FOLDER.is_dir(), reason="No questions: set INGLENOOK_TESTDATA")
@both_engines
def test_every_client_gets_the_same_calls(
    url: str, run: Callable[..., str], tmp_path: Path, model: str
):
    asked = questions()
    file = tmp_path / "questions.json"
    file.write_text(
        json.dumps(
            [
                {
                    "question": each.messages,
                    "tools": each.tools,
                    "choice": choice,
                    "max_tokens": MAX_TOKENS,
                }
                for each, choice in asked
            ]
        ),
        encoding="utf-8",
    )
    ai_sdk = json.loads(run(NODE, PROGRAMS / "ai_sdk_tools.mjs", url, model, file).splitlines()[-1])
    whole = 0
    for place, (question, choice) in enumerate(asked):
        wanted = by_openai(url, model, question, choice)
        if wanted is None:  # the smallest of models may go round in circles
            continue
        whole += 1
        told = {wire: calls[place] for wire, calls in ai_sdk.items() if calls[place] is not None}
        told["anthropic"] = by_anthropic(url, model, question, choice)
        if choice == "auto":
            told["ollama"] = by_ollama(url, model, question)
        assert told == dict.fromkeys(told, wanted), (question.id, choice)
        assert question.fault([(n, json.dumps(given)) for n, given in wanted], choice) == ""
    assert whole >= 0.8 * len(asked)


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
