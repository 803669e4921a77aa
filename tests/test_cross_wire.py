"""One seed and one prompt give the same text on every family."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, api_server, open_everything
from tests.engines import needs_mlx

HOST = "127.0.0.1"
SYSTEM, QUESTION = "You tell stories.", "Tell me a story about a dog."
SAMPLING = {"temperature": 1.5, "top_k": 40, "min_p": 0.01, "repeat_penalty": 1.05, "seed": 7}
MOST_TOKENS = 24
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


# Of each family: the path, the body without its model, and where the answer has its text.
FAMILIES: dict[str, tuple[str, dict[str, Any], Callable[[Any], str]]] = {
    "OpenAI's chat": (
        "/v1/chat/completions",
        {"messages": MESSAGES, "max_tokens": MOST_TOKENS, **SAMPLING},
        lambda said: said["choices"][0]["message"]["content"],
    ),
    "OpenAI's responses": (
        "/v1/responses",
        {"instructions": SYSTEM, "input": QUESTION, "max_output_tokens": MOST_TOKENS, **SAMPLING},
        lambda said: said["output"][-1]["content"][0]["text"],
    ),
    "Anthropic's messages": (
        "/v1/messages",
        {"system": SYSTEM, "messages": MESSAGES[1:], "max_tokens": MOST_TOKENS, **SAMPLING},
        lambda said: said["content"][-1]["text"],
    ),
    "Ollama's chat": (
        "/api/chat",
        {"messages": MESSAGES, "options": SAMPLING | {"num_predict": MOST_TOKENS}},
        lambda said: said["message"]["content"],
    ),
    "Ollama's generate": (
        "/api/generate",
        {
            "system": SYSTEM,
            "prompt": QUESTION,
            "options": SAMPLING | {"num_predict": MOST_TOKENS},
        },
        lambda said: said["response"],
    ),
}


@pytest.fixture
def services(inglenook_home: Path) -> Iterator[Services]:
    with open_everything(inglenook_home) as services:
        yield services


@pytest.fixture
def port(services: Services) -> Iterator[int]:
    api = api_server(services, HOST, [0])
    api.start()
    yield api.ports[0]
    api.stop()


def ask(port: int, path: str, body: dict[str, Any]) -> Any:
    with closing(HTTPConnection(HOST, port, timeout=60)) as connection:
        streams = {} if path == "/apply-template" else {"stream": False}
        connection.request("POST", path, json.dumps(body | streams))
        response = connection.getresponse()
        said = json.loads(response.read())
        assert response.status == 200, (path, said)
        assert response.getheader("X-Inglenook-Ignored") is None
    return said


@pytest.mark.parametrize("model", ["pocket", pytest.param("pocket:mlx", marks=needs_mlx)])
def test_every_family_says_the_same(port: int, model: str):
    told = {
        name: text(ask(port, path, body | {"model": model}))
        for name, (path, body, text) in FAMILIES.items()
    }

    assert len(set(told.values())) == 1, told
    assert all(told.values())


@pytest.mark.parametrize("model", ["pocket", pytest.param("pocket:mlx", marks=needs_mlx)])
def test_a_text_that_is_templated_already_goes_on_in_the_same_way(port: int, model: str):
    prompt = ask(port, "/apply-template", {"model": model, "messages": MESSAGES})["prompt"]
    raw = {"model": model, "prompt": prompt}

    chat = ask(port, "/v1/chat/completions", FAMILIES["OpenAI's chat"][1] | {"model": model})
    whole = ask(port, "/v1/completions", raw | SAMPLING | {"max_tokens": MOST_TOKENS})
    options = SAMPLING | {"num_predict": MOST_TOKENS}
    native = ask(port, "/api/generate", raw | {"raw": True, "options": options})

    said = chat["choices"][0]["message"]["content"]
    assert whole["choices"][0]["text"] == native["response"] == said
