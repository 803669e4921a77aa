"""Tools and thinking on both engines, by the model that ships with the program."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import jsonschema
import pytest

from app.services import Services, api_server, open_everything
from models import chat
from models.chat import (
    GenerateRequest,
    JsonSchema,
    LoadRequest,
    Message,
    SamplingParams,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from models.engine.installed import has_mlx
from models.errors import InvalidRequest
from models.events import Failed, Finished, FinishReason, Last
from models.reply import Reply
from tests.conftest import TESTDATA
from tests.engines import both_engines, needs_mlx
from tests.fakes import A_TEST
from tests.listener import Listener

WEATHER = Tool(
    "get_weather",
    "Get the weather in a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
)
TIME = Tool(
    "get_time",
    "Get the time in a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "hours": {"enum": [12, 24]}},
        "required": ["city", "hours"],
    },
)
BERN = chat.user("What is the weather in Bern?")
TWO_CITIES = chat.user("What is the weather in Bern and in Paris?")

needs_tinychat = pytest.mark.skipif(not TESTDATA.is_dir(), reason="no test data here")
# One of which no tag is a token.
every_model = pytest.mark.parametrize(
    "model",
    [
        "pocket:latest",
        pytest.param("pocket:mlx", marks=needs_mlx),
        pytest.param("tinychat:latest", marks=needs_tinychat),
    ],
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        models = ["pocket:latest", *(["pocket:mlx"] if has_mlx() else [])]
        if TESTDATA.is_dir():
            services.store.import_path(
                TESTDATA / "models/tinychat/tinychat-1m-F16.gguf", "tinychat"
            )
            models.append("tinychat:latest")
        for model in models:
            loaded = Listener()  # so that no test starts a lane that outlives it
            services.residency.submit(LoadRequest(model=model), loaded, origin=A_TEST)
            loaded.end()
        yield services


def asked(services: Services, model: str, *messages: Message, **wish: Any) -> tuple[Reply, Last]:
    wish = {"sampling": SamplingParams(temperature=0.0), "max_tokens": 200} | wish
    listener = Listener()
    request = GenerateRequest(model=model, prompt=messages, **wish)
    services.residency.submit(request, listener, origin=A_TEST)
    last = listener.end()
    reply = Reply()
    for event in listener.events:
        reply.take(event)
    return reply, last


def answer(services: Services, model: str, *messages: Message, **wish: Any) -> Reply:
    reply, last = asked(services, model, *messages, **wish)
    assert isinstance(last, Finished), last
    return reply


def calls_of(reply: Reply) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in reply.tool_calls]


def assert_valid(calls: Sequence[tuple[str, Any]], *tools: Tool) -> None:
    assert calls
    schemas = {tool.name: tool.parameters or {} for tool in tools}
    for name, arguments in calls:
        jsonschema.validate(arguments, schemas[name])


@both_engines
def test_a_question_that_a_tool_answers_is_a_call(services: Services, model: str) -> None:
    reply = answer(services, model, BERN, tools=(WEATHER,))

    assert calls_of(reply) == [("get_weather", {"city": "Bern"})]
    assert reply.text == ""
    assert reply.finished and reply.finished.reason is FinishReason.TOOL_CALLS


@both_engines
def test_two_questions_are_two_calls_with_ids_of_their_own(services: Services, model: str) -> None:
    reply = answer(services, model, TWO_CITIES, tools=(WEATHER,))

    assert calls_of(reply) == [("get_weather", {"city": city}) for city in ("Bern", "Paris")]
    assert len({call.id for call in reply.tool_calls}) == 2


@both_engines
def test_without_parallel_calls_there_is_one(services: Services, model: str) -> None:
    choice = ToolChoice(parallel=False)
    reply = answer(services, model, TWO_CITIES, tools=(WEATHER,), tool_choice=choice)

    assert calls_of(reply) == [("get_weather", {"city": "Bern"})]


@every_model
def test_where_no_tool_fits_it_answers_as_it_would(services: Services, model: str) -> None:
    reply = answer(services, model, chat.user("hello"), tools=(WEATHER,))

    assert reply.text
    assert not reply.tool_calls
    assert reply.finished and reply.finished.reason is FinishReason.END_OF_TURN


@every_model
@pytest.mark.parametrize("seed", range(4))
def test_a_call_that_is_required_comes_and_fits_its_schema(
    services: Services, model: str, seed: int
) -> None:
    wish: dict[str, Any] = {
        "tool_choice": ToolChoice("required", parallel=False),
        "sampling": SamplingParams(temperature=1.5, seed=seed),
    }
    reply = answer(services, model, chat.user("hello"), tools=(WEATHER, TIME), **wish)

    assert_valid(calls_of(reply), WEATHER, TIME)
    assert reply.text == ""


@every_model
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_no_tool_is_called_but_those_that_are_allowed(
    services: Services, model: str, mode: Any
) -> None:
    choice = ToolChoice(mode, ("get_time",), parallel=False)
    reply = answer(services, model, BERN, tools=(WEATHER, TIME), tool_choice=choice)

    assert_valid(calls_of(reply), TIME)


@every_model
def test_with_no_tool_allowed_there_are_none_for_the_model(services: Services, model: str) -> None:
    none = ToolChoice("none")
    reply = answer(services, model, BERN, tools=(WEATHER,), tool_choice=none)
    plain = answer(services, model, BERN)

    assert reply.text == plain.text
    assert not reply.tool_calls
    assert reply.started and plain.started
    assert reply.started.prompt_tokens == plain.started.prompt_tokens


@both_engines
def test_a_result_is_put_into_words(services: Services, model: str) -> None:
    history = (
        BERN,
        Message("assistant", (ToolCall("call_1", "get_weather", '{"city": "Bern"}'),)),
        Message("tool", (ToolResult("call_1", (Text("sunny, 21 degrees"),)),)),
    )
    reply = answer(services, model, *history, tools=(WEATHER,))

    assert "21" in reply.text
    assert not reply.tool_calls


@both_engines
def test_a_thought_comes_before_a_call_and_is_counted(services: Services, model: str) -> None:
    reply = answer(services, model, BERN, tools=(WEATHER,), thinking=True)

    assert reply.reasoning
    assert "think" not in reply.reasoning + reply.text
    assert calls_of(reply) == [("get_weather", {"city": "Bern"})]
    assert reply.finished
    usage = reply.finished.usage
    assert 0 < usage.reasoning_tokens < usage.completion_tokens


@both_engines
def test_a_thought_comes_before_an_answer(services: Services, model: str) -> None:
    france = chat.user("What is the capital of France?")
    reply = answer(services, model, france, thinking=True)

    assert reply.reasoning and not reply.reasoning.endswith("\n")
    assert reply.text == answer(services, model, france, thinking=False).text


@both_engines
def test_an_answer_has_the_form_that_is_asked_for_or_is_a_call(
    services: Services, model: str
) -> None:
    form = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}})
    called = answer(services, model, BERN, tools=(WEATHER,), constraint=form)
    none = ToolChoice("none")
    said = answer(services, model, BERN, tools=(WEATHER,), constraint=form, tool_choice=none)

    assert_valid(calls_of(called), WEATHER)
    jsonschema.validate(json.loads(said.text), form.schema)


@both_engines
def test_a_call_that_is_cut_off_is_marked(services: Services, model: str) -> None:
    reply = answer(services, model, BERN, tools=(WEATHER,), max_tokens=18)

    assert reply.finished and reply.finished.reason is FinishReason.MAX_TOKENS
    assert reply.finished.unread_calls == 1
    (call,) = reply.tool_calls
    assert '{"city": "Bern"}'.startswith(call.arguments)


@both_engines
def test_a_schema_that_cannot_be_obeyed_is_refused_with_the_tools_name(
    services: Services, model: str
) -> None:
    schema = {"properties": {"x": {"type": "array", "uniqueItems": True}}}
    _, last = asked(services, model, BERN, tools=(Tool("odd", "", schema, strict=True),))

    assert isinstance(last, Failed)
    assert isinstance(last.error, InvalidRequest)
    assert "'odd'" in str(last.error)


# -- Over HTTP ---------------------------------------------------------------------


@pytest.fixture
def port(services: Services) -> Iterator[int]:
    api = api_server(services, "127.0.0.1", [0])
    api.start()
    yield api.ports[0]
    api.stop()


def post(port: int, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@both_engines
def test_a_model_says_that_it_has_tools_and_thinks(port: int, model: str) -> None:
    _, shown = post(port, "/api/show", {"model": model})
    assert {"tools", "thinking"} <= set(shown["capabilities"])


def test_a_model_that_has_no_tools_says_so(port: int, services: Services) -> None:
    path = TESTDATA / "models/stories260K.gguf"
    if not path.is_file():
        pytest.skip("no test data here")
    services.store.import_path(path, "stories")
    function = {"name": "a", "parameters": {"type": "object"}}
    body = {
        "model": "stories",
        "stream": False,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": function}],
    }

    status, said = post(port, "/api/chat", body)

    assert status == 400
    assert said["error"].endswith("does not support tools")
