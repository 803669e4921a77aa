"""A tool call that cannot be read is told to the client on every wire, by its own library."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import anthropic
import ollama
import openai
import pytest

from app.services import api_server, open_everything
from tests.server.openai_schemas import faults_of_event, needs_schemas

# The call that the question leads to is cut off in its arguments.
CUT = 18
MESSAGES: Any = [{"role": "user", "content": "What is the weather in Bern?"}]
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "get_weather", "description": "Get the weather in a city"}
FUNCTION: Any = {"type": "function", "function": {**WEATHER, "parameters": SCHEMA}}
TOOL: Any = {**WEATHER, "input_schema": SCHEMA}
FLAT: Any = {"type": "function", **WEATHER, "parameters": SCHEMA}
OPTIONS: Any = {"temperature": 0, "num_predict": CUT}
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"messages": MESSAGES, "tools": [FUNCTION], "max_tokens": CUT},
    "/v1/responses": {"input": MESSAGES, "tools": [FLAT], "max_output_tokens": CUT},
    "/v1/messages": {"messages": MESSAGES, "tools": [TOOL], "max_tokens": CUT},
    "/api/chat": {"messages": MESSAGES, "tools": [FUNCTION], "options": OPTIONS},
}


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield f"http://127.0.0.1:{server.ports[0]}"
        server.stop()


def post(url: str, path: str, *, stream: bool) -> tuple[str | None, str]:
    body = {"model": "pocket", "stream": stream, "temperature": 0, **BODIES[path]}
    request = Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as response:
        return response.headers["X-Inglenook-Unread-Calls"], response.read().decode()


@pytest.mark.parametrize("path", BODIES)
def test_it_is_in_the_head_of_a_whole_answer_and_in_one_object_of_a_stream(url: str, path: str):
    head, body = post(url, path, stream=False)
    assert head == "1"
    assert "unread_calls" not in body

    head, body = post(url, path, stream=True)
    assert head is None
    told = [line.removeprefix("data: ") for line in body.splitlines() if "unread_calls" in line]
    assert [json.loads(each)["unread_calls"] for each in told] == [1]


@needs_schemas
def test_the_published_schema_of_events_allows_it(url: str):
    _, body = post(url, "/v1/responses", stream=True)
    *_, last = [line.removeprefix("data: ") for line in body.splitlines() if "{" in line]

    assert json.loads(last)["unread_calls"] == 1
    assert not faults_of_event(json.loads(last))


def test_openais_client_hands_it_out(url: str):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        body = BODIES["/v1/chat/completions"] | {"temperature": 0}
        *_, last = client.chat.completions.create(model="pocket", stream=True, **body)
        assert last.model_extra and last.model_extra["unread_calls"] == 1

        body = BODIES["/v1/responses"] | {"temperature": 0}
        *_, end = client.responses.create(model="pocket", stream=True, **body)
        assert end.model_extra and end.model_extra["unread_calls"] == 1
        assert end.type == "response.incomplete"


def test_a_response_in_the_background_tells_it_whenever_it_is_read(url: str):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        body = BODIES["/v1/responses"] | {"temperature": 0}
        *_, end = client.responses.create(model="pocket", stream=True, background=True, **body)
        assert end.type == "response.incomplete"
        whole = client.responses.with_raw_response.retrieve(end.response.id)
        *_, again = client.responses.retrieve(end.response.id, stream=True)

    assert whole.headers["X-Inglenook-Unread-Calls"] == "1"
    assert again.model_extra and again.model_extra["unread_calls"] == 1


def test_anthropics_client_hands_it_out(url: str):
    with anthropic.Anthropic(base_url=url, api_key="none") as client:
        body = BODIES["/v1/messages"] | {"extra_body": {"temperature": 0}}
        with client.messages.stream(model="pocket", **body) as stream:
            *_, last, _stop = stream
        assert last.type == "message_delta"
        assert last.model_extra and last.model_extra["unread_calls"] == 1


def test_ollamas_client_is_not_disturbed_by_it(url: str):
    with ollama.Client(host=url) as client:
        *_, last = client.chat("pocket", stream=True, **BODIES["/api/chat"])
    assert last.done and last.done_reason == "length"


def test_the_metrics_count_it(url: str):
    def count() -> float:
        with urlopen(f"{url}/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
        name = "inglenook_unread_calls_total "
        return float(next(line for line in lines if line.startswith(name)).split()[1])

    before = count()
    post(url, "/api/chat", stream=False)
    assert count() == before + 1
