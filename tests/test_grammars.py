"""Answers of a given form, over HTTP, on both engines; and schemas drawn by a generator."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import jsonschema
import pytest

from app.services import Services, api_server, open_everything
from benchmarks.schema_generator import FORMATS, Generator
from benchmarks.schemas import answers
from models.chat import LoadRequest
from models.engine.installed import has_mlx
from tests.engines import needs_mlx
from tests.fakes import A_TEST
from tests.listener import Listener

HOST = "127.0.0.1"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 30},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["old", "big"]}, "maxItems": 3},
    },
    "required": ["city", "size", "tags"],
    "additionalProperties": False,
}
QUESTION = [{"role": "user", "content": "Give me JSON about Paris."}]

both_engines = pytest.mark.parametrize(
    "model", ["pocket", pytest.param("pocket:mlx", marks=needs_mlx)]
)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        for model in ("pocket:latest", *(["pocket:mlx"] if has_mlx() else [])):
            loaded = Listener()  # so that no test starts a lane that outlives it
            services.residency.submit(LoadRequest(model=model), loaded, origin=A_TEST)
            loaded.end()
        yield services


@pytest.fixture
def port(services: Services) -> Iterator[int]:
    api = api_server(services, HOST, [0])
    api.start()
    yield api.ports[0]
    api.stop()


def post(port: int, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    with closing(HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps({"stream": False, **body}))
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def is_as_asked(text: str) -> bool:
    found = json.loads(text)
    return (
        list(found) == ["city", "size", "tags"]
        and 0 <= found["size"] <= 99
        and set(found["tags"]) <= {"old", "big"}
    )


@both_engines
def test_openai_chat_keeps_to_a_schema(port: int, model: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    body = {"model": model, "messages": QUESTION, "response_format": form, "temperature": 1.0}

    status, answer = post(port, "/v1/chat/completions", body)

    assert status == 200, answer
    (choice,) = answer["choices"]
    assert is_as_asked(choice["message"]["content"])
    assert choice["finish_reason"] == "stop"


@both_engines
def test_openai_json_mode_says_an_object(port: int, model: str) -> None:
    form = {"type": "json_object"}
    body = {"model": model, "messages": QUESTION, "response_format": form, "temperature": 0}

    status, answer = post(port, "/v1/chat/completions", body)

    assert status == 200, answer
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"]), dict)


@both_engines
def test_ollama_keeps_to_a_format(port: int, model: str) -> None:
    body = {"model": model, "messages": QUESTION, "format": SCHEMA, "options": {"seed": 3}}

    status, answer = post(port, "/api/chat", body)

    assert status == 200, answer
    assert is_as_asked(answer["message"]["content"])
    assert answer["done_reason"] == "stop"


@both_engines
def test_a_schema_that_cannot_be_obeyed_is_a_400_with_its_place(port: int, model: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": model, "messages": QUESTION, "response_format": form}

    status, answer = post(port, "/v1/chat/completions", body)

    assert status == 400
    assert "at /properties/x: keyword 'uniqueItems'" in answer["error"]["message"]


@both_engines
def test_a_gbnf_is_kept_to(port: int, model: str) -> None:
    body = {"model": model, "messages": QUESTION, "grammar": 'root ::= ("ha" | "ho"){3} "!"'}

    status, answer = post(port, "/v1/chat/completions", body)

    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"].endswith("!")


def test_every_format_that_is_drawn_is_judged() -> None:
    judged = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers
    assert set(FORMATS) - judged.keys() == set(), "jsonschema[format-nongpl] is not installed"


@both_engines
def test_thirty_schemas_are_answered_as_they_ask(services: Services, model: str) -> None:
    generator = Generator(11)
    schemas = [generator.schema() for _ in range(30)]
    name = "pocket:latest" if model == "pocket" else model

    outcomes = answers(services.residency, name, schemas)

    assert [each for each in outcomes if each.kind not in ("right", "listed")] == []
    assert sum(each.kind == "listed" for each in outcomes) < 5
