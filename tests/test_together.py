"""Across all rooms, with nothing scripted: hub, store, engines, API and window at once."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app.chat.session import ChatSession, State
from app.services import Services, api_server, open_everything
from models.hub import Hub
from models.resident import Resident
from tests.conftest import REPOSITORY
from tests.engines import needs_mlx
from tests.hub_server import FakeHub, running

POCKET = REPOSITORY / "resources/pocket"
QUESTION = "What is the capital of France?"
HOST = "127.0.0.1"
# So hot that a reply is long: the end of the turn is as likely as any other token.
HOT = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "num_predict": 200}

both_engines = pytest.mark.parametrize(
    "model", ["pocket", pytest.param("pocket:mlx", marks=needs_mlx)]
)


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


class Ask:
    """One POST, whose answer can be read as it comes."""

    def __init__(self, port: int, path: str, body: dict[str, Any]) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=30)
        self._connection.request("POST", path, json.dumps(body))
        self._response = self._connection.getresponse()
        self.readline = self._response.readline
        self.read = self._response.read

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def chat(port: int, model: str) -> dict[str, Any]:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "options": {"temperature": 0},
        "stream": False,
    }
    with closing(Ask(port, "/api/chat", body)) as answer:
        return json.loads(answer.read())


GGUF_REPO = {"org/tiny-GGUF": {"tiny-F16.gguf": next(POCKET.rglob("pocket.gguf")).read_bytes()}}
MLX_FILES = [each for each in (POCKET / "mlx").iterdir() if each.is_file()]
MLX_REPO = {"org/tiny": {each.name: each.read_bytes() for each in MLX_FILES}}


@pytest.mark.parametrize(
    ("repos", "name"),
    [(GGUF_REPO, "org/tiny-GGUF:F16"), pytest.param(MLX_REPO, "org/tiny", marks=needs_mlx)],
)
def test_a_model_that_was_pulled_over_a_cut_connection_is_listed_and_answers(
    services: Services, port: int, repos: dict[str, dict[str, bytes]], name: str
):
    with running(FakeHub(repos=repos, cut_after=[300_000] * 2)) as fake:
        Hub(services.store, fake.url).pull(name, lambda progress: None, threading.Event())
    resumed = [request.range for request in fake.requests if request.range]

    with closing(HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request("GET", "/api/tags")
        listed = [each["name"] for each in json.load(connection.getresponse())["models"]]
    answer = chat(port, name)

    assert resumed, "the part that had come was not asked for again"
    assert any(each.startswith(name) for each in listed)
    assert "Paris" in answer["message"]["content"]


@both_engines
def test_the_window_and_the_api_are_answered_at_once_from_one_loaded_model(
    services: Services, port: int, qtbot: Any, model: str
):
    session = ChatSession(services.residency, services.records, "a-chat", model)
    chat(port, model)  # it is loaded now
    seen: list[tuple[Resident, ...]] = []
    session.reply_grew.connect(lambda _: seen.append(services.residency.residents()))

    streams = [
        Ask(
            port,
            "/api/generate",
            {"model": model, "prompt": "Go on.", "options": {**HOT, "seed": seed}},
        )
        for seed in range(4)
    ]
    assert all(stream.readline() for stream in streams)
    session.send(QUESTION)
    with qtbot.waitSignal(session.state_changed, check_params_cb=lambda at: at is State.IDLE):
        pass
    lasts = [json.loads(stream.read().splitlines()[-1]) for stream in streams]

    assert "Paris" in session.turns[-1].text
    assert all(last["done"] for last in lasts)
    assert max(len(residents) for residents in seen) == 1
    for stream in streams:
        stream.close()
    session.close()
