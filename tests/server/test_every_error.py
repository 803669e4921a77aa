"""All routes and all that can go wrong with them: the status, and the envelope of the family."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from models.chat import GenerateRequest, Origin, Request
from models.errors import ServerBusy
from models.events import Failed, Sink
from server.contract import Route
from server.routes import FAMILIES, Family
from server.wires import wire_at
from tests.server.conftest import Answer, Serving
from tests.server.lawful import BODIES
from tests.server.obliging import ObligingEngines, ObligingServing

ROUTES = [route for family in FAMILIES for route in family.routes]
READING = [route for route in ROUTES if route.rows]
OF_A_MODEL = [route for route in READING if "model" in BODIES.get(route.path, {})]
STORES = ["/api/show", "/api/create", "/api/copy", "/api/delete", "/api/pull", "/api/push"]
RUNNING = [each for each in OF_A_MODEL if each.path not in (*STORES, "/models/unload")]
NEED_NO_BODY = ["/v1/conversations"]
UNKNOWN = [
    *("/nothing", "/api/nothing", "/api/chat/nothing", "/v1/nothing", "/v1/chat/nothing"),
    *("/v1/messages/nothing", "/v1/responses/a/nothing", "/models/nothing", "/tokenize/nothing"),
]


class BusyEngines(ObligingEngines):
    """Engines that can take no more."""

    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int:
        sink(Failed(ServerBusy("Too many wait already.")))
        return 1

    def count_tokens(self, request: GenerateRequest) -> int:
        raise ServerBusy("Too many wait already.")

    def spelling(self, model: str) -> Any:
        raise ServerBusy("Too many wait already.")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    serving = ObligingServing(tmp_path)
    yield serving
    serving.server.stop()


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Serving]:
    serving = ObligingServing(tmp_path, BusyEngines())
    yield serving
    serving.server.stop()


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", "nothere", route.path)


def check(answer: Answer, path: str, status: int) -> None:
    """The envelope is that of the family to which the path belongs."""
    assert answer.status == status, answer.body
    wire = wire_at(path).name.partition("-")[0]
    if wire == "ollama" and answer.headers["content-type"].startswith("text/plain"):
        assert status in (404, 405)
        assert answer.body.decode().startswith(f"{status} ")
        return
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json
    match wire:
        case "openai":
            assert set(said) == {"error"}
            assert set(said["error"]) == {"message", "type", "param", "code"}
            assert said["error"]["type"] == {404: "not_found_error", 503: "api_error"}.get(
                status, "invalid_request_error"
            )
        case "anthropic":
            assert set(said) == {"type", "error", "request_id"}
            assert said["type"] == "error"
            assert set(said["error"]) == {"type", "message"}
        case "llama":
            assert set(said["error"]) == {"code", "message", "type"}
            assert said["error"]["code"] == status
        case _:
            assert set(said) == {"error"}
            assert isinstance(said["error"], str)


def test_a_wrong_method(serving: Serving):
    for path in {path_of(each) for each in ROUTES}:
        answer = serving.ask("PATCH", path)

        check(answer, path, 405)
        assert answer.headers["allow"] and "PATCH" not in answer.headers["allow"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_an_unknown_path(serving: Serving, method: str):
    for path in UNKNOWN:
        check(serving.ask(method, path), path, 404)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"a": NaN}', b"\xff", b'{"model": "a", "model": "b"}']
)
def test_a_body_that_is_no_json(serving: Serving, data: bytes):
    for route in READING:
        if data or route.path not in NEED_NO_BODY:
            check(serving.ask(route.method, path_of(route), data), route.path, 400)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_field_of_a_wrong_type_is_named(serving: Serving, family: Family):
    for route in family.routes:
        if route.rows:
            check_types(serving, route)


def check_types(serving: Serving, route: Route) -> None:
    typed = [
        row for row in route.rows
        if row.schema and not set(".[") & set(row.name) and row.honour == "supported"
    ]  # fmt: skip
    assert typed
    for row in typed:
        wrong = {"surely": "wrong"} if "object" not in json.dumps(row.schema) else 1.5
        body = BODIES.get(route.path, {}) | {row.name: wrong}
        if row.name == "name":  # which is read where the newer word is not there
            del body["model"]

        answer = serving.ask(route.method, path_of(route), body)

        if answer.status != 404 or "{" not in route.path:  # else what it is in was looked up first
            check(answer, route.path, 400)
            assert row.name in answer.body.decode(), (row.name, answer.body)


def test_a_body_that_is_too_large(serving: Serving):
    for route in READING:
        with closing(serving.connect()) as connection:
            connection.putrequest(route.method, path_of(route))
            connection.putheader("Content-Length", str(1 << 30))
            connection.endheaders()
            response = connection.getresponse()
            headers = {key.lower(): value for key, value in response.getheaders()}
            check(Answer(response.status, headers, response.read()), route.path, 413)


def test_an_unknown_model(serving: Serving):
    for route in OF_A_MODEL:
        if route.path in ("/api/create", "/api/pull"):
            continue  # they make one
        body = BODIES[route.path] | {"model": "nothere"}

        answer = serving.ask(route.method, path_of(route), body)

        check(answer, route.path, 404)
        assert "nothere" in answer.body.decode()


def test_a_full_queue_says_when_to_come_again(busy: Serving):
    for route in RUNNING:
        for more in ({}, {"stream": True}) if route.streams else ({},):
            answer = busy.ask(route.method, path_of(route), BODIES[route.path] | more)

            check(answer, route.path, 503)
            assert int(answer.headers["retry-after"]) > 0


def test_a_page_from_elsewhere_cannot_post_text(serving: Serving):
    """A form needs no leave of the browser's to send it: it is refused for where it is from."""
    simple = {"Content-Type": "text/plain", "Origin": "https://evil.example"}

    for route in READING:
        answer = serving.ask(route.method, path_of(route), BODIES.get(route.path, {}), simple)
        assert (answer.status, answer.body) == (403, b"")
        assert "access-control-allow-origin" not in answer.headers


def test_what_a_page_of_this_computer_posts_is_taken_whatever_its_type(serving: Serving):
    simple = {"Content-Type": "text/plain", "Origin": "http://localhost:3000"}

    answer = serving.ask("POST", "/v1/chat/completions", BODIES["/v1/chat/completions"], simple)

    assert answer.status == 200
