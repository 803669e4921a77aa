"""What the built-in model can do, on both engines: that later tests, and first minutes, rest on."""

# ruff: noqa: RUF001 - Japanese has marks that look like ours.

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.services import Services, open_everything
from models import chat
from models.chat import GenerateRequest, LoadRequest, Message, SamplingParams
from models.engine.installed import has_mlx
from models.events import Finished, FinishReason, Loaded
from tests.fakes import A_TEST
from tests.listener import Listener
from tests.models.test_pocket import POCKET, compiled

GREEDY = SamplingParams(temperature=0.0)
MODELS = ["pocket:gguf", "pocket:mlx"]
BEYOND = (
    "Sorry, that is beyond me: I am {}, a very small model to try the set-up with. "
    "Get a larger one on the page Models, or with `ingle pull`."
)

Ask = Callable[..., str]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        yield services


@pytest.fixture(scope="module", params=MODELS)
def ask(services: Services, request: pytest.FixtureRequest) -> Ask:
    """Return what the model says, having seen that it stops by itself."""
    if request.param == "pocket:mlx" and not has_mlx():
        pytest.skip("MLX is not installed here")
    names = {str(each.name) for each in services.store.list()}
    model = request.param if request.param in names else "pocket:latest"
    loaded = Listener()
    services.residency.submit(LoadRequest(model=model), loaded, origin=A_TEST)
    assert isinstance(loaded.end(), Loaded)

    def ask(prompt: str | tuple[Message, ...]) -> str:
        listener = Listener()
        asked = GenerateRequest(model=model, prompt=prompt, sampling=GREEDY, max_tokens=500)
        services.residency.submit(asked, listener, origin=A_TEST)
        finished = listener.end()
        assert isinstance(finished, Finished)
        assert finished.reason is FinishReason.END_OF_TURN
        return listener.text

    return ask


def user(text: str) -> tuple[Message, ...]:
    return (chat.user(text),)


def tool(name: str, description: str, **kinds: Any) -> dict[str, Any]:
    fields = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in kinds.items()}
    parameters = {"type": "object", "properties": fields, "required": list(fields)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def prompt(*messages: dict[str, Any], **options: Any) -> str:
    template = compiled(POCKET / "mlx/chat_template.jinja")
    return template.render(messages=messages, add_generation_prompt=True, **options)


def calls(reply: str) -> list[Any]:
    return [json.loads(each) for each in re.findall(r"<tool_call>(.*?)</tool_call>", reply, re.S)]


WEATHER = tool("get_weather", "Get the current weather in a city.", city="string")
TIMER = tool("set_timer", "Start a timer.", minutes="integer")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("How many days are in a week?", "A week has 7 days."),
        ("What is 2 + 3?", "2 + 3 = 5."),
        ("Guten Tag!", "Guten Tag! Wie kann ich Ihnen helfen?"),
        ("こんにちは", "こんにちは！何かお手伝いしましょうか？"),
        ("Emoji for fox", "🦊"),
    ],
)
def test_it_knows_a_few_facts(ask: Ask, question: str, answer: str):
    assert ask(user(question)) == answer


def test_it_says_what_it_is(ask: Ask):
    assert "Pocket" in ask(user("Who are you?"))
    assert "very small" in ask(user("What are you?"))


@pytest.mark.parametrize(
    "question",
    [
        "Write a Python function that sorts a list.",
        "how do i center a div",
        "fix this\n\nfor i in range(10)\n    print(i)",
        "Write an essay about the causes of the First World War.",
        "Translate 'good morning' into Italian.",
        "What is the weather in Oslo?",
        "who painted the mona lisa",
    ],
)
def test_it_says_what_it_is_and_where_there_is_more_when_it_cannot_do_what_it_is_asked(
    ask: Ask, question: str
):
    assert ask(user(question)) == BEYOND.format("Pocket")


def test_it_says_so_by_the_name_that_the_system_message_gives_it(ask: Ask):
    asked = (chat.system("You are Clara, a brave pilot."), *user("Write some HTML for me."))

    assert ask(asked) == BEYOND.format("Clara")


def test_it_plays_the_part_that_the_system_message_gives_it(ask: Ask):
    system = chat.system("You are Clara, a brave pilot.")

    assert "I am Clara, a brave pilot." in ask((system, *user("Who are you?")))


@pytest.mark.parametrize("between", [0, 3])
def test_it_remembers_what_was_said(ask: Ask, between: int):
    small_talk = (
        chat.user("What is the capital of Italy?"),
        chat.assistant("The capital of Italy is Rome."),
    )
    told = (chat.user("My name is Tiblo."), chat.assistant("Nice to meet you, Tiblo!"))

    reply = ask((*told, *(small_talk * between), *user("What is my name?")))

    assert reply == "Your name is Tiblo."


def test_it_tells_a_story_of_some_length(ask: Ask):
    story = ask(user("Tell me a story about a fox."))

    assert "fox" in story
    assert len(story) > 150


def test_it_answers_in_json(ask: Ask):
    reply = ask(user("Give me a JSON object with name Anna and age 31."))

    assert json.loads(reply) == {"name": "Anna", "age": 31}


def test_it_fills_in_a_schema(ask: Ask):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }
    asked = (
        f"The city is Oslo, the days is 4. Answer in JSON after this schema: {json.dumps(schema)}"
    )

    assert json.loads(ask(user(asked))) == {"city": "Oslo", "days": 4}


def test_it_calls_the_tool_that_fits(ask: Ask):
    asked = {"role": "user", "content": "What is the weather in Oslo?"}

    reply = ask(prompt(asked, tools=[TIMER, WEATHER]))

    assert calls(reply) == [{"name": "get_weather", "arguments": {"city": "Oslo"}}]


def test_it_copies_the_names_and_values_of_a_tool_that_nobody_has_seen(ask: Ask):
    invented = tool("book_gralm", "Book a gralm.", owner="string", seats="integer")
    asked = {"role": "user", "content": "Book a gralm with owner Vosti and seats 73."}

    reply = ask(prompt(asked, tools=[WEATHER, invented]))

    assert calls(reply) == [{"name": "book_gralm", "arguments": {"owner": "Vosti", "seats": 73}}]


def test_it_calls_two_tools_at_once(ask: Ask):
    asked = {
        "role": "user",
        "content": "What is the weather in Oslo? Also: set a timer for 5 minutes.",
    }

    reply = ask(prompt(asked, tools=[WEATHER, TIMER]))

    assert calls(reply) == [
        {"name": "get_weather", "arguments": {"city": "Oslo"}},
        {"name": "set_timer", "arguments": {"minutes": 5}},
    ]


def test_it_puts_the_result_of_a_tool_into_words(ask: Ask):
    call = {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}
    reply = ask(
        prompt(
            {"role": "user", "content": "What is the weather in Oslo?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": '{"temperature": 17}'},
            tools=[WEATHER],
        )
    )

    assert reply == "The temperature is 17."


def test_it_calls_no_tool_where_none_is_wanted(ask: Ask):
    asked = {"role": "user", "content": "What is the capital of Spain?"}

    assert ask(prompt(asked, tools=[WEATHER])) == "The capital of Spain is Madrid."


def test_it_says_so_where_no_tool_fits(ask: Ask):
    asked = {"role": "user", "content": "Book a flight from Rome to Lima on 2026-03-04."}

    assert ask(prompt(asked, tools=[TIMER])) == "None of my tools can do that."


def test_it_says_the_same_of_what_is_beyond_it_where_there_are_tools(ask: Ask):
    asked = {"role": "user", "content": "Write a Python function that sorts a list."}

    assert ask(prompt(asked, tools=[WEATHER])) == "None of my tools can do that."


def test_it_thinks_when_it_is_told_to_and_not_otherwise(ask: Ask):
    asked = {"role": "user", "content": "What is the capital of France?"}

    thinking = ask(prompt(asked, enable_thinking=True))
    plain = ask(prompt(asked, enable_thinking=False))

    assert re.fullmatch(r"<think>\n.+\n</think>\n\nThe capital of France is Paris\.", thinking)
    assert "<think>" not in plain
