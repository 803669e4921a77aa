"""A real server on a real socket, in front of a model that says what it is told to."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from models.model import Model
from models.residency import Residency
from models.store import Store
from server.app import create_app
from server.key_check import KeyCheck
from server.listener import ApiServer
from tests.fakes import ScriptedBackend, a_model, find_among, scripted_residency

HOST = "127.0.0.1"


def babbler() -> ScriptedBackend:
    """A model that never finishes by itself."""
    return ScriptedBackend(context_length=1 << 40)


class FakeStore(Store):
    """The models that a test has, as Store tells of them. Nothing can be added to it."""

    def __init__(self, models: list[Model] | None = None) -> None:
        super().__init__(Path(), builtin=None)
        self.models = [a_model()] if models is None else models

    def list(self) -> list[Model]:
        return self.models

    def find(self, name: str) -> Model:
        return find_among(*self.models)(name)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[Any]:
        """The data of server-sent events, without the ``[DONE]`` that must end them."""
        *events, done, empty = self.body.decode().split("\n\n")
        assert (done, empty) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]


class Serving:
    """A server that answers, and how to ask it."""

    def __init__(self, residency: Residency, store: Store, keys: KeyCheck | None = None) -> None:
        self.residency = residency
        self._make_app = lambda: create_app(residency, store, host=HOST, keys=keys)
        self.server = ApiServer(self._make_app, HOST, [0])
        self.server.start()

    def start_again(self) -> None:
        """Start a new server on the port of the one that was stopped."""
        self.server = ApiServer(self._make_app, HOST, [self._last_port])
        self.server.start()

    def stop(self) -> None:
        self._last_port = self.port
        self.server.stop()

    @property
    def port(self) -> int:
        return self.server.ports[0]

    def connect(self) -> HTTPConnection:
        return HTTPConnection(HOST, self.port, timeout=20)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request; a body that is no bytes is sent as JSON."""
        connection = self.connect()
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, names, response.read())
        connection.close()
        return answer


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts servers, and stops them after the test."""
    started: list[Serving] = []

    def start(
        backend: ScriptedBackend | None = None,
        *,
        models: list[Model] | None = None,
        keys: KeyCheck | None = None,
    ) -> Serving:
        store = FakeStore(models)
        residency = scripted_residency(backend or ScriptedBackend("Hel", "lo"), *store.models)
        started.append(Serving(residency, store, keys))
        return started[-1]

    yield start
    for each in started:
        each.server.stop()
        each.residency.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for what another thread will make true."""

    def wait(condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(500):
            if condition():
                return
            pause.wait(0.01)
        raise AssertionError("it never happened")

    return wait
