"""What a model says to a tool that takes text is in its grammar: on both engines and wires."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.engines import both_engines
from tests.patches import PATCH, allows

Json = dict[str, Any]
REGEX = 'rain|"?[0-9]{2}\\.[0-9]°'
# Of patches few and short ones: a model may write lines without end.
SHORT = PATCH.replace("change+", "change ~ 1..2").replace("added+", "added ~ 1..2")
SHORT = SHORT.replace("(place | line)+", "line ~ 1..2").replace("/(.*)/", "/.{1,12}/?")
SHORT = SHORT.replace("/(.+)/", "/.{1,12}/")
ASKED = 'Write a patch that says "it\'s \\ and\ttabs" in a new file.'


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        api = api_server(services, "127.0.0.1", [0])
        api.start()
        yield api.ports[0]
        api.stop()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The lanes outlive a test: the fixture above ends them."""


def post(port: int, path: str, body: Json) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=50)) as connection:
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read()


def events(body: bytes) -> list[Json]:
    lines = [line for line in body.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def respond(port: int, model: str, syntax: str, definition: str, **more: Any) -> tuple[int, bytes]:
    form = {"type": "grammar", "syntax": syntax, "definition": definition}
    body = {
        "model": model,
        "input": ASKED,
        "tools": [{"type": "custom", "name": "tell", "description": "a text", "format": form}],
        "tool_choice": "required",
        "store": False,
        "max_output_tokens": 400,
        "parallel_tool_calls": False,
    }
    return post(port, "/v1/responses", body | more)


def chat(port: int, model: str, definition: str, **more: Any) -> tuple[int, bytes]:
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": definition}}
    tool = {"name": "tell", "description": "a text", "format": form}
    body = {
        "model": model,
        "messages": [{"role": "user", "content": ASKED}],
        "tools": [{"type": "custom", "custom": tool}],
        "tool_choice": {"type": "custom", "custom": {"name": "tell"}},
        "max_tokens": 400,
        "parallel_tool_calls": False,
    }
    return post(port, "/v1/chat/completions", body | more)


@both_engines
def test_a_response_matches_the_regex_of_its_tool(port: int, model: str) -> None:
    status, body = respond(port, model, "regex", REGEX)

    assert status == 200, body
    [call] = [each for each in json.loads(body)["output"] if each["type"] == "custom_tool_call"]
    assert re.fullmatch(REGEX, call["input"]), call


@both_engines
@pytest.mark.parametrize("seed", [1, 2])
def test_a_response_is_in_the_lark_grammar_of_its_tool(port: int, model: str, seed: int) -> None:
    asked = {"seed": seed, "temperature": 1.5}

    status, whole = respond(port, model, "lark", SHORT, **asked)
    _, streamed = respond(port, model, "lark", SHORT, **asked, stream=True)

    assert status == 200, whole
    [call] = [each for each in json.loads(whole)["output"] if each["type"] == "custom_tool_call"]
    told = [each for each in events(streamed) if "custom_tool_call_input" in each["type"]]
    assert allows(SHORT, call["input"]), call
    assert "".join(each.get("delta", "") for each in told) == call["input"]
    assert told[-1]["input"] == call["input"]


@both_engines
@pytest.mark.parametrize("seed", [3, 4])
def test_a_chat_is_in_the_lark_grammar_of_its_tool(port: int, model: str, seed: int) -> None:
    asked = {"seed": seed, "temperature": 1.5}

    status, whole = chat(port, model, SHORT, **asked)
    _, streamed = chat(port, model, SHORT, **asked, stream=True)

    assert status == 200, whole
    [choice] = json.loads(whole)["choices"]
    [call] = choice["message"]["tool_calls"]
    deltas = [each["delta"] for event in events(streamed) for each in event["choices"]]
    [told] = [call for each in deltas for call in each.get("tool_calls", ())]
    assert choice["finish_reason"] == "tool_calls"
    assert (call["type"], call["custom"]["name"]) == ("custom", "tell")
    assert allows(SHORT, call["custom"]["input"]), call
    assert {**told, "id": call["id"]} == call


@both_engines
def test_an_agents_own_grammar_is_kept_to_as_far_as_an_answer_goes(port: int, model: str) -> None:
    status, body = respond(port, model, "lark", PATCH, temperature=1.0, seed=5)

    assert status == 200, body
    [call] = [each for each in json.loads(body)["output"] if each["type"] == "custom_tool_call"]
    if call["status"] == "completed":
        assert allows(PATCH, call["input"]), call
    else:  # a line may go on for ever
        assert re.match(
            r'\{"input": "\*\*\* Begin Patch\\n\*\*\* (Add|Delete|Update) File: ', call["input"]
        )


@both_engines
def test_a_pattern_with_escapes_is_kept_to(port: int, model: str) -> None:
    pattern = r'^"[a-z]{3}\n[^a-z]\\(.|\t){2}$'
    schema = {"type": "string", "pattern": pattern}
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
        "temperature": 1.5,
    }

    for seed in (1, 2):
        status, said = post(port, "/v1/chat/completions", body | {"seed": seed})
        assert status == 200, said
        text = json.loads(json.loads(said)["choices"][0]["message"]["content"])
        assert re.search(pattern, text), text


def test_a_grammar_that_cannot_be_kept_to_is_refused_with_its_place(port: int) -> None:
    grows = "start: a0\n" + "".join(f"a{n}: a{n + 1} a{n + 1}\n" for n in range(40)) + 'a40: "x"'
    sentences = {
        'start: "a"\n  | b': "line 2: there is no 'b'",
        'start: sum\nsum: "1" | sum "+" sum': "line 2: 'sum' leads back to itself",
        grows: "'a27' is longer than 65,536 characters in full",
    }

    for grammar, sentence in sentences.items():
        for status, body, field in (
            (*respond(port, "pocket:latest", "lark", grammar), "format"),
            (*chat(port, "pocket:latest", grammar), "custom.format.grammar"),
        ):
            error = json.loads(body)["error"]
            assert (status, error["param"]) == (400, f"tools[0].{field}.definition")
            assert sentence in error["message"]
