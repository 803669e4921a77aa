"""A llama.cpp child that does not die and does nothing more either: a stand-in for it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.chat import SamplingParams
from models.engine import llama_process, llama_pulse
from models.engine.backend import Work
from models.engine.llama import LlamaBackend, open_llama
from models.errors import LoadFailed, ModelCrashed
from models.images import Picture
from models.model import Files
from tests.fakes import a_model, a_spec

POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
PROJECTOR = next(POCKET_FILE.parent.glob("mmproj*.gguf")).name
WORKER = """
import http.server, json, sys, time

class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        if self.path == "/tokenize":
            return self.wfile.write(b'{{"tokens": []}}')
        for count in range(1, 4):
            chunk = {{"tokens_predicted": count, "tokens": [5], "content": "x", "stop": False}}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\\n\\n")
            self.wfile.flush()
            time.sleep(0.05)
        while True:
            {then}

    def log_message(self, *_):
        pass

sys.stdin.readline()
while {loads} is False:
    time.sleep(1)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
print(json.dumps({{"port": server.server_address[1]}}), flush=True)
server.serve_forever()
"""


class StandIn:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = folder / "worker.py"
        self.backends: list[LlamaBackend] = []
        monkeypatch.setattr(llama_process, "_WORKER", self._path)

    def open(self, *, then: str = "pass", loads: bool = True) -> LlamaBackend:
        self._path.write_text(WORKER.format(then=then, loads=loads))
        files = Files(POCKET_FILE.parent, POCKET_FILE.name, PROJECTOR)
        model = replace(a_model("odd"), files=files)
        self.backends.append(open_llama(a_spec(model), threading.Event().set))
        return self.backends[-1]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path, monkeypatch)
    yield stand_in
    for backend in stand_in.backends:
        backend.close()
        assert not psutil.pid_exists(backend.pid)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def run(backend: LlamaBackend, seconds: float = 20, pictures: tuple[Picture, ...] = ()) -> None:
    """Load it and run a sequence, for as long as it goes well."""
    until(backend.load)
    work = Work(
        tokens=(1, 2),
        max_tokens=9,
        sampling=SamplingParams(),
        pictures=pictures,
        pieces=("See ", " there") if pictures else (),
    )
    backend.insert({1: work})

    def is_over() -> bool:
        backend.step()
        backend.load()
        return False

    until(is_over, seconds)


@pytest.mark.parametrize("then", ["pass", "time.sleep(1)"])
def test_a_child_that_says_nothing_more_is_ended(
    then: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(llama_pulse, "_LEAST_SECONDS", 1.0)
    backend = stand_in.open(then=then)

    with pytest.raises(ModelCrashed, match="'odd:latest' stopped answering"):
        run(backend)


def test_a_child_may_look_at_a_picture_for_as_long_as_it_does_something(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(llama_pulse, "_LEAST_SECONDS", 0.5)
    pictures = (Picture(b"", 1, 1, "0" * 64),)

    with pytest.raises(AssertionError, match="never came true"):
        run(stand_in.open(then="pass"), 1.5, pictures)
    with pytest.raises(ModelCrashed, match="'odd:latest' stopped answering"):
        run(stand_in.open(then="time.sleep(1)"), pictures=pictures)


@pytest.mark.skipif(not hasattr(psutil.Process, "io_counters"), reason="nothing tells reads here")
def test_a_child_that_neither_reckons_nor_reads_is_ended_before_its_first_word(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(llama_pulse, "_LEAST_SECONDS", 1.0)
    backend = stand_in.open(loads=False)

    with pytest.raises(LoadFailed, match="came to a stop"):
        until(backend.load)


def test_a_child_is_given_longer_where_its_words_took_long_before(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(llama_pulse, "_LEAST_SECONDS", 0.01)
    monkeypatch.setattr(llama_pulse, "_LONGEST_TIMES", 1000)
    monkeypatch.setattr(llama_pulse.Pulse, "is_idle", lambda _: False)
    backend = stand_in.open()

    with pytest.raises(AssertionError, match="never came true"):
        run(backend, seconds=2)
