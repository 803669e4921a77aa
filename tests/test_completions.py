"""Completions as an evaluation harness asks for them, with the real engines."""

import json
import math
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.conftest import TESTDATA

TEXT = "The dog sat on the mat"
MODELS = ("pocket", "tinychat")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        services.settings.change(context_length=512)
        gguf = TESTDATA / "models/tinychat/tinychat-1m-F16.gguf"
        if gguf.is_file():
            services.store.import_path(gguf, "tinychat")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield server.ports[0]
        server.stop()


def ask(port: int, path: str, **body: Any) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(body))
    response = connection.getresponse()
    said = json.loads(response.read())
    connection.close()
    if response.status == 404:
        pytest.skip(f"No such model here: {body['model']}")
    assert response.status == 200, said
    return said


@pytest.mark.parametrize("model", MODELS)
def test_the_likelihood_of_a_text_lies_beside_its_tokens(port: int, model: str):
    asked = {
        "model": model, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0, "seed": 1
    }  # fmt: skip

    [by_text] = ask(port, "/v1/completions", prompt=TEXT, **asked)["choices"]
    odds = by_text["logprobs"]

    assert by_text["text"].startswith(TEXT)
    assert len({len(values) for values in odds.values()}) == 1
    assert odds["text_offset"][0] == 0
    for place, text in zip(odds["text_offset"], odds["tokens"], strict=True):
        assert by_text["text"][place : place + len(text)] == text
    assert all(each <= 0 for each in odds["token_logprobs"] if each is not None)
    for value, top in zip(odds["token_logprobs"][1:], odds["top_logprobs"][1:], strict=True):
        assert max(top.values()) >= value
        assert math.isfinite(value)


@pytest.mark.parametrize("model", MODELS)
def test_tokens_are_read_as_they_are(port: int, model: str):
    ids = [40, 50, 60, 70]
    asked = {"model": model, "echo": True, "logprobs": 1, "temperature": 0, "seed": 1}

    said = ask(port, "/v1/completions", prompt=[ids, ids[:2]], max_tokens=1, **asked)
    silent = ask(port, "/v1/completions", prompt=[ids], max_tokens=0, **asked)

    first, second = (each["logprobs"]["token_logprobs"] for each in said["choices"])
    assert (len(first), len(second)) == (5, 3)  # one more than was sent, which was written
    assert first[0] is None
    assert said["usage"]["prompt_tokens"] == 6
    alone = silent["choices"][0]["logprobs"]["token_logprobs"]
    assert alone[1:] == pytest.approx(first[1:4], abs=1e-2)
    assert len(alone) == 4
    assert silent["usage"]["completion_tokens"] == 0
