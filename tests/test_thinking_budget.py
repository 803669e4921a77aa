"""A thought that may have so many tokens is ended, and the answer goes on, on both engines."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from app.services import Services, open_everything
from models import chat
from models.chat import GenerateRequest, JsonSchema, SamplingParams, Tool, ToolChoice
from models.events import FinishReason
from models.reply import Reply
from tests.engines import both_engines
from tests.fakes import A_TEST
from tests.listener import Listener

FRANCE = "What is the capital of France?"
BERN = "What is the weather in Bern?"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
}
WEATHER = Tool("get_weather", "Get the weather in a city", CITY)
CLOSING = 4  # tokens of what ends a thought, at the most


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        yield services


def answer(services: Services, model: str, question: str, **wish: Any) -> Reply:
    wish = {"sampling": SamplingParams(temperature=0.0), "max_tokens": 200} | wish
    listener = Listener()
    prompt = (chat.user(question),)
    request = GenerateRequest(model=model, prompt=prompt, thinking=True, **wish)
    services.residency.submit(request, listener, origin=A_TEST)
    listener.end()
    reply = Reply()
    for event in listener.events:
        reply.take(event)
    assert reply.finished
    return reply


def usage_of(reply: Reply) -> tuple[int, int]:
    assert reply.finished
    usage = reply.finished.usage
    return usage.reasoning_tokens, usage.completion_tokens


@both_engines
@pytest.mark.parametrize("budget", [0, 1, 5])
def test_a_thought_is_ended_where_it_may_go_no_further(services: Services, model: str, budget: int):
    free = answer(services, model, FRANCE)
    held = answer(services, model, FRANCE, thinking_budget=budget)

    assert free.reasoning.startswith(held.reasoning) and held.reasoning != free.reasoning
    assert held.text == free.text
    reasoning_tokens, completion_tokens = usage_of(held)
    assert budget <= reasoning_tokens + CLOSING and reasoning_tokens <= budget + 2 * CLOSING
    assert reasoning_tokens < completion_tokens < usage_of(free)[1]


@both_engines
def test_a_thought_that_ends_in_time_is_left_alone(services: Services, model: str):
    free = answer(services, model, FRANCE)
    held = answer(services, model, FRANCE, thinking_budget=100)

    assert (held.reasoning, held.text) == (free.reasoning, free.text)
    assert usage_of(held) == usage_of(free)


@both_engines
def test_a_call_may_follow_it_which_still_matches_its_schema(services: Services, model: str):
    wish: dict[str, Any] = {"tools": (WEATHER,), "thinking_budget": 3}
    hot = SamplingParams(temperature=1.5, seed=3)
    must = ToolChoice("required", parallel=False)
    replies = [
        answer(services, model, BERN, **wish),
        answer(services, model, BERN, tool_choice=must, sampling=hot, **wish),
    ]

    for reply in replies:
        (call,) = reply.tool_calls
        jsonschema.validate(json.loads(call.arguments), CITY)
        assert reply.reasoning and not reply.text
        assert reply.finished and reply.finished.reason is FinishReason.TOOL_CALLS


@both_engines
def test_an_answer_behind_it_still_has_its_form(services: Services, model: str):
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    form = JsonSchema(
        {"properties": {"n": digit}, "required": ["n"], "additionalProperties": False}
    )
    hot = SamplingParams(temperature=1.5, seed=3)
    held = answer(services, model, FRANCE, constraint=form, thinking_budget=2, sampling=hot)

    assert held.reasoning
    jsonschema.validate(json.loads(held.text), form.schema)


@both_engines
def test_one_seed_is_one_answer(services: Services, model: str):
    wish: dict[str, Any] = {"sampling": SamplingParams(temperature=1.2, seed=7)}
    first, second = (
        answer(services, model, FRANCE, thinking_budget=3, max_tokens=40, **wish) for _ in "ab"
    )

    assert (first.reasoning, first.text) == (second.reasoning, second.text)


@both_engines
def test_where_there_is_no_room_for_its_end_it_is_cut_off(services: Services, model: str):
    held = answer(services, model, FRANCE, thinking_budget=3, max_tokens=4)

    assert held.finished and held.finished.reason is FinishReason.MAX_TOKENS
    assert usage_of(held)[1] == 4
    assert not held.text
