"""A disk that hangs keeps waiting who asked of it, and nobody else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from models.engine.house import Runner
from models.engine.prompt import Prompter
from models.model import Kind, Model
from models.residency import Residency
from models.spelling import Spelling
from tests.fakes import ScriptedBackend
from tests.server.conftest import Answer, FakeStore, Serving


class SlowStore(FakeStore):
    """Answers nobody before ``spins`` is set; ``asked`` tells that somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.spins = threading.Event()

    def list(self) -> list[Model]:
        self._wait()
        return super().list()

    def find(self, name: str) -> Model:
        self._wait()
        return super().find(name)

    def _wait(self) -> None:
        self.asked.set()
        assert self.spins.wait(20)


class Counting:
    """Lends the one prompter there is."""

    def prompter(self, model: Model) -> Prompter:
        return ScriptedBackend().prompter

    def spelling(self, model: Model) -> Spelling:
        raise AssertionError("nobody asks for it here")

    def close(self) -> None:
        pass


@pytest.fixture
def disk() -> SlowStore:
    return SlowStore()


@pytest.fixture
def serving(disk: SlowStore) -> Iterator[Serving]:
    def open_backend(spec: object, wake: Callable[[], None]) -> ScriptedBackend:
        return ScriptedBackend("Hello")

    residency = Residency(disk.find, {Kind.LLAMA: Runner(open_backend)}, make_counter=Counting)
    made = Serving(residency, disk)
    yield made
    disk.spins.set()
    made.stop()
    residency.close()


CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "stream": False}
ASKING = [
    ("GET", "/api/tags", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/scripted", None),
    ("POST", "/api/show", {"model": "scripted"}),
    ("POST", "/api/chat", CHAT),
    ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/messages", CHAT | {"max_tokens": 5}),
    ("POST", "/v1/messages/count_tokens", CHAT),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKING)
def test_others_are_answered_while_the_disk_is_waited_for(
    serving: Serving, disk: SlowStore, method: str, path: str, body: object
):
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Answer] = pool.submit(serving.ask, method, path, body)
        try:
            assert disk.asked.wait(20)
            assert serving.ask("GET", "/api/version").status == 200
            assert not waiting.done()
        finally:
            disk.spins.set()
        # To show a model its file is opened, and the scripted one has none.
        assert waiting.result().status == (500 if path == "/api/show" else 200)
