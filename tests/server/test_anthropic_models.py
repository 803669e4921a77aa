"""The list of models as Anthropic's clients ask for it, on paths that are OpenAI's too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import pytest
from anthropic.types import ModelInfo

from models.model import Model
from tests.fakes import a_model
from tests.server.conftest import HOST, Serving

VERSION = {"anthropic-version": "2023-06-01"}
FIRST_DAY = datetime(2026, 1, 2, tzinfo=UTC)


def installed(count: int) -> list[Model]:
    """The first of them is the newest."""
    return [
        replace(a_model(f"org/m{number:02}"), modified_at=FIRST_DAY - timedelta(days=number))
        for number in range(count)
    ]


@pytest.fixture
def serving(serve) -> Serving:
    return serve(models=installed(25))


@pytest.fixture
def client(serving: Serving) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=f"http://{HOST}:{serving.port}",
        api_key="none",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def names(*numbers: int) -> list[str]:
    return [f"org/m{number:02}:latest" for number in numbers]


def ask(serving: Serving, query: str = "") -> Any:
    return serving.ask("GET", f"/v1/models{query}", headers=VERSION).json


def test_the_library_reads_every_page(client: anthropic.Anthropic):
    page = client.models.list()

    assert [each.id for each in page.data] == names(*range(20))
    assert page.has_more
    assert [each.id for each in client.models.list(limit=7)] == names(*range(25))


def test_pages_go_both_ways(serving: Serving):
    middle = ask(serving, f"?limit=3&after_id={names(9)[0]}")
    before = ask(serving, f"?limit=3&before_id={middle['first_id']}")
    first = ask(serving, f"?limit=3&before_id={names(2)[0]}")
    last = ask(serving, f"?limit=3&after_id={names(22)[0]}")

    assert [each["id"] for each in middle["data"]] == names(10, 11, 12)
    assert (middle["first_id"], middle["last_id"]) == (names(10)[0], names(12)[0])
    assert [each["id"] for each in before["data"]] == names(7, 8, 9)
    assert middle["has_more"] and before["has_more"]
    assert [each["id"] for each in first["data"]] == names(0, 1)
    assert [each["id"] for each in last["data"]] == names(23, 24)
    assert not first["has_more"] and not last["has_more"]


def test_no_models_are_an_empty_page(serve):
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}

    assert ask(serve(models=[])) == empty
    assert ask(serve(models=installed(2)), "?lifecycle[]=retired") == empty


def test_one_model(serving: Serving, client: anthropic.Anthropic):
    model = client.models.retrieve("org/m03")

    assert (model.id, model.display_name) == ("org/m03", "org/m03:latest")
    assert model.created_at == FIRST_DAY - timedelta(days=3)
    assert model.max_input_tokens == 256
    assert model.capabilities and model.capabilities.structured_outputs.supported
    assert not model.capabilities.thinking.types.enabled.supported
    body = json.dumps(serving.ask("GET", "/v1/models/org/m03", headers=VERSION).json)
    strict = ModelInfo.model_validate_json(body, strict=True)
    assert strict.model_extra == {}
    assert strict.capabilities and strict.capabilities.model_extra == {}


def test_what_is_wrong_is_told_in_anthropics_words(serving: Serving):
    for path, status in (
        ("/v1/models/nothere", 404),
        ("/v1/models?limit=0", 400),
        ("/v1/models?limit=1001", 400),
        ("/v1/models?limit=many", 400),
        ("/v1/models?limit=%C2%B2", 400),
        ("/v1/models?after_id=nothere", 400),
        ("/v1/models?after_id=a&before_id=b", 400),
    ):
        got = serving.ask("GET", path, headers=VERSION)
        assert got.status == status, path
        assert got.json["type"] == "error"
        assert got.json["request_id"] == got.headers["request-id"]
    wrong = serving.ask("POST", "/v1/models", {}, headers=VERSION)
    assert (wrong.status, wrong.json["type"]) == (405, "error")


def test_without_the_header_they_are_openais(serving: Serving):
    listed = serving.ask("GET", "/v1/models").json

    assert listed["object"] == "list"
    assert serving.ask("GET", "/v1/models/nothere").json["error"]["code"] is None


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_a_version_that_is_no_day_is_refused(serving: Serving, path: str):
    method = "GET" if path == "/v1/models" else "POST"

    got = serving.ask(method, path, {}, {"anthropic-version": "latest"})

    assert got.status == 400
    assert got.json["error"] == {
        "type": "invalid_request_error",
        "message": "anthropic-version: 'latest' is not a valid version",
    }
