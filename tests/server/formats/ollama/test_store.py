"""Ollama's routes that change the store, over a real socket and a real folder."""

import hashlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from models import builtin
from models.errors import DiskFull
from models.hub import Hub
from models.hub_errors import PullCancelled, PullFailed
from models.hub_progress import PullProgress
from models.model import Model
from models.residency import Residency
from models.store import Store
from server.app import create_app
from server.listener import ApiServer
from tests import hub_server, registry_server
from tests.fakes import ScriptedBackend, scripted_residency
from tests.hub_server import FakeHub
from tests.models.test_store import gguf_file
from tests.registry_server import FakeRegistry
from tests.server.conftest import HOST, Answer, Serving

POCKET = builtin.FOLDER / "gguf/pocket.gguf"


class ScriptedHub:
    """Pulls what it is told to; ``org/endless`` until it is stopped."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.stopped = threading.Event()

    def pull(
        self, name: str, on_progress: Callable[[PullProgress], None], cancelled: threading.Event
    ) -> Model:
        on_progress(PullProgress("pulling manifest"))
        if name == "org/gone":
            raise PullFailed("There is no model org/gone on the hub.")
        if name == "org/endless":
            cancelled.wait(20)
            self.stopped.set()
            raise PullCancelled
        for done in (0, 5, 10):
            on_progress(PullProgress("pulling", "m.gguf", done, 10))
        on_progress(PullProgress("success"))
        return self._store.list()[0]


class StoreServing(Serving):
    def __init__(self, home: Path, hub_url: str = "") -> None:
        self.store = Store(home, builtin.FOLDER)
        self.hub = ScriptedHub(self.store)
        hub = Hub(self.store, hub_url) if hub_url else self.hub
        self.residency: Residency = scripted_residency(ScriptedBackend("hi"))
        self._make_app = lambda: create_app(self.residency, self.store, host=HOST, hub=hub)
        self.server = ApiServer(self._make_app, HOST, [0])
        self.server.start()

    def post(self, path: str, **body: Any) -> Answer:
        return self.ask("POST", path, body)

    def send(self, data: bytes, sha256: str | None = None) -> Answer:
        digest = sha256 or hashlib.sha256(data).hexdigest()
        return self.ask("POST", f"/api/blobs/sha256:{digest}", data)

    def show(self, name: str, **more: Any) -> Any:
        return self.post("/api/show", model=name, **more).json


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[StoreServing]:
    made = StoreServing(tmp_path / "home")
    yield made
    made.stop()
    made.residency.close()


def statuses(answer: Answer) -> list[str]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [each["status"] for each in answer.lines]


CAT = {
    "from": "pocket",
    "system": "You are a cat.",
    "parameters": {"temperature": 0, "stop": ["a", "b"], "num_ctx": 512},
    "license": ["MIT", "none other"],
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Meow."}],
    "template": "{{ .System }} {{ .Prompt }}",
}


class TestCreate:
    def test_of_another_model(self, serving: StoreServing):
        said = statuses(serving.post("/api/create", model="cat", **CAT))

        assert said[0].startswith("using existing layer sha256:")
        assert said[-2:] == ["writing manifest", "success"]
        shown = serving.show("cat")
        assert shown["system"] == "You are a cat."
        assert shown["template"] == "{{ .System }} {{ .Prompt }}"
        assert shown["license"] == "MIT\nnone other"
        assert shown["messages"] == CAT["messages"]
        assert shown["parameters"].splitlines()[0] == 'stop                           "a"'
        assert "SYSTEM You are a cat.\n" in shown["modelfile"]
        assert "FROM cat:latest\n" in shown["modelfile"]

    def test_whole(self, serving: StoreServing):
        answer = serving.post("/api/create", name="cat", stream=False, **CAT)

        assert (answer.status, answer.json) == (200, {"status": "success"})

    def test_of_files_that_were_sent(self, serving: StoreServing, tmp_path: Path):
        data = gguf_file(tmp_path).read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        head = f"/api/blobs/{digest}"
        assert serving.ask("HEAD", head).status == 404

        assert serving.send(data).status == 201
        assert serving.send(data).status == 200
        assert serving.ask("HEAD", head).status == 200
        said = statuses(serving.post("/api/create", model="mine", files={"m.gguf": digest}))

        assert said == [
            "parsing GGUF",
            f"creating new layer {digest}",
            "writing manifest",
            "success",
        ]
        assert serving.ask("HEAD", head).status == 200
        assert serving.show("mine")["model_info"]["tiny.context_length"] == 512

    def test_what_goes_wrong_later_is_the_last_line(self, serving: StoreServing):
        data = b"GGUF and nothing more"
        serving.send(data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

        answer = serving.post("/api/create", model="mine", files={"m.gguf": digest})
        whole = serving.post("/api/create", model="m", files={"m.gguf": digest}, stream=False)

        assert answer.status == 200
        assert list(answer.lines[-1]) == ["error"]
        assert whole.status == 400

    def test_parameters_that_are_unknown_are_told(self, serving: StoreServing):
        body = {"model": "m", "from": "pocket", "parameters": {"num_gpu": 9}, "requires": "0.9"}

        answer = serving.ask("POST", "/api/create", body)
        strict = serving.ask("POST", "/api/create", body, {"X-Inglenook-Strict": "1"})

        assert answer.headers["x-inglenook-ignored"] == "requires,parameters.num_gpu"
        assert strict.status == 400

    @pytest.mark.parametrize(
        ("body", "status", "sentence"),
        [
            ({}, 400, "invalid model name"),
            ({"model": "a b", "from": "pocket"}, 400, "invalid model name"),
            ({"model": "m"}, 400, "neither 'from' or 'files' was specified"),
            ({"model": "m", "modelfile": "FROM x"}, 400, "neither 'from' or 'files' was specified"),
            (
                {"model": "m", "from": "pocket", "modelfile": ""},
                400,
                '"modelfile" is not supported',
            ),
            ({"model": "m", "from": "nothere"}, 404, "model 'nothere' not found"),
            ({"model": "pocket", "from": "pocket"}, 400, "Model 'pocket:latest' ships with"),
            ({"model": "m", "files": {"/x": "sha256:" + "0" * 64}}, 400, "file path must be"),
            ({"model": "m", "files": {"x": 5}}, 400, '"files.x" must be a string'),
            (
                {"model": "m", "from": "pocket", "messages": [{"role": "robot", "content": "x"}]},
                400,
                "message role must be one of",
            ),
        ],
    )
    def test_what_cannot_be_made(
        self, serving: StoreServing, body: dict, status: int, sentence: str
    ):
        answer = serving.ask("POST", "/api/create", body)

        assert answer.status == status
        assert answer.json["error"].startswith(sentence)


class TestBlobs:
    def test_another_file_than_was_said(self, serving: StoreServing):
        answer = serving.send(b"x", "0" * 64)

        assert answer.status == 400
        assert answer.json["error"].startswith('digest mismatch, expected "sha256:000')

    @pytest.mark.parametrize("digest", ["xyz", "sha256:..", "..%2f..%2fx", "sha256:%2e%2e%2fx"])
    def test_no_path_leaves_the_store(self, serving: StoreServing, tmp_path: Path, digest: str):
        before = sorted(tmp_path.rglob("*"))

        assert serving.ask("POST", f"/api/blobs/{digest}", b"x").status in (400, 404)
        assert serving.ask("HEAD", f"/api/blobs/{digest}").status in (400, 404)
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_file_of_many_pieces(self, serving: StoreServing, tmp_path: Path):
        data = bytes(range(256)) * (90 << 10)  # 23 MB

        assert serving.send(data).status == 201

        [sent] = (tmp_path / "home/models/blobs").iterdir()
        assert sent.read_bytes() == data

    def test_a_full_disk(self, serving: StoreServing):
        connection = http.client.HTTPConnection(HOST, serving.port, timeout=20)
        connection.putrequest("POST", f"/api/blobs/sha256:{'1' * 64}")
        connection.putheader("Content-Length", str(1 << 60))
        connection.endheaders()
        answer = connection.getresponse()

        assert answer.status == DiskFull.status_hint == 507
        connection.close()

    def test_a_client_that_leaves_leaves_nothing_behind(
        self,
        serving: StoreServing,
        tmp_path: Path,
        eventually: Callable[[Callable[[], bool]], None],
    ):
        folder = tmp_path / "home/models/blobs"
        connection = http.client.HTTPConnection(HOST, serving.port, timeout=20)
        connection.putrequest("POST", f"/api/blobs/sha256:{'1' * 64}")
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        connection.send(b"half of it")
        eventually(lambda: folder.is_dir() and len(list(folder.iterdir())) == 1)

        connection.close()

        eventually(lambda: not list(folder.iterdir()))


class TestCopyAndDelete:
    def test_a_second_name(self, serving: StoreServing):
        copied = serving.post("/api/copy", source="pocket", destination="gpt-3.5-turbo")

        assert (copied.status, copied.body) == (200, b"")
        assert serving.show("gpt-3.5-turbo")["details"]["family"] == "llama"

        gone = serving.ask("DELETE", "/api/delete", {"name": "GPT-3.5-turbo"})

        assert (gone.status, gone.body) == (200, b"")
        assert serving.post("/api/show", model="gpt-3.5-turbo").status == 404

    def test_the_model_that_ships_with_us_stays(self, serving: StoreServing):
        answer = serving.ask("DELETE", "/api/delete", {"model": "pocket"})

        assert answer.status == 400
        assert "cannot be removed" in answer.json["error"]


class TestPull:
    def test_statuses_follow_one_another(self, serving: StoreServing):
        lines = serving.post("/api/pull", model="org/model").lines

        digest = lines[1]["digest"]
        assert lines == [
            {"status": "pulling manifest"},
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 10},
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 10, "completed": 5},
            {"status": f"pulling {digest[7:19]}", "digest": digest, "total": 10, "completed": 10},
            {"status": "success"},
        ]

    def test_whole(self, serving: StoreServing):
        assert serving.post("/api/pull", name="org/model", stream=False).json == {
            "status": "success"
        }

    def test_what_cannot_be_had_is_told(self, serving: StoreServing):
        assert serving.post("/api/pull", model="org/gone").lines == [
            {"status": "pulling manifest"},
            {"error": "There is no model org/gone on the hub."},
        ]
        whole = serving.post("/api/pull", model="org/gone", stream=False)
        assert whole.json == {"error": "There is no model org/gone on the hub."}

    def test_whoever_leaves_stops_it(self, serving: StoreServing):
        connection = serving.connect()
        connection.request("POST", "/api/pull", b'{"model": "org/endless"}')
        answer = connection.getresponse()
        assert answer.readline() == b'{"status":"pulling manifest"}\n'

        answer.close()
        connection.close()

        assert serving.hub.stopped.wait(20)

    def test_a_page_of_the_hub_is_a_name_too(self, serving: StoreServing):
        page = "https://huggingface.co/org/model"

        assert serving.post("/api/pull", model=page, stream=False).status == 200


class TestSharedPulls:
    @pytest.mark.parametrize("leaver", [0, 1])
    def test_one_download_is_told_to_both_and_one_may_leave(self, tmp_path: Path, leaver: int):
        model = {"model": "org/tiny:F16"}
        hub = FakeHub(stall_after=1 << 20)
        hub.repos["org/tiny"] = {"tiny-F16.gguf": POCKET.read_bytes()}
        with hub_server.running(hub), ExitStack() as stack:
            serving = StoreServing(tmp_path / "home", hub.url)
            both: list[http.client.HTTPResponse] = []
            for _ in range(2):
                connection = http.client.HTTPConnection(HOST, serving.port, timeout=20)
                connection.request("POST", "/api/pull", json.dumps(model), {"Connection": "close"})
                both.append(stack.enter_context(connection.getresponse()))
                assert hub.stalled.wait(20)
            heard = [json.loads(each.readline()) for each in both]
            assert heard[0] == {"status": "pulling manifest"}
            assert heard[1]["status"].startswith("pulling ")
            assert heard[1]["total"] == POCKET.stat().st_size

            both[leaver].close()
            hub.go_on.set()

            *_, last = both[1 - leaver].read().splitlines()
            assert json.loads(last) == {"status": "success"}
            assert len(hub.downloads("tiny-F16.gguf")) == 1
            serving.stop()
            serving.residency.close()


class TestPush:
    @pytest.fixture
    def there(self) -> Iterator[FakeRegistry]:
        with registry_server.running(FakeRegistry()) as registry:
            yield registry

    def test_it_is_told_file_by_file(self, serving: StoreServing, there: FakeRegistry):
        name = f"{there.host}/library/pocket"

        answer = serving.post("/api/push", model=name, insecure=True)

        said = statuses(answer)
        first = answer.lines[1]
        assert said[0] == "retrieving manifest"
        assert said[1] == f"pushing {first['digest'].removeprefix('sha256:')[:12]}"
        assert said[-2:] == ["pushing manifest", "success"]
        assert first["total"] == len(there.blobs[first["digest"]])
        assert list(there.manifests) == ["library/pocket:latest"]
        once = serving.post("/api/push", name=name, insecure=True, stream=False)
        assert once.json == {"status": "success"}

    @pytest.mark.parametrize(
        ("model", "status", "sentence"),
        [
            ("", 400, "model is required"),
            ("nothere", 404, "model 'nothere' not found"),
            ("pocket", 400, "'pocket' names no registry to push to"),
            ("hf.co/me/pocket", 400, "hf.co takes models only from those who are signed in"),
            ("http://127.0.0.1:9/library/pocket", 400, "insecure protocol http"),
            ("127.0.0.1:9/library/nothere", 404, "model 'nothere:latest' not found"),
        ],
    )
    def test_what_cannot_be_pushed(
        self, serving: StoreServing, model: str, status: int, sentence: str
    ):
        answer = serving.post("/api/push", model=model)

        assert answer.status == status
        assert answer.json["error"].startswith(sentence)

    def test_a_registry_that_is_not_there(self, serving: StoreServing):
        model = "127.0.0.1:9/library/pocket"
        streamed = serving.post("/api/push", model=model)
        once = serving.post("/api/push", model=model, stream=False)

        assert streamed.lines[0] == {"status": "retrieving manifest"}
        assert streamed.lines[-1]["error"].startswith("The registry 127.0.0.1:9 cannot be reached")
        assert once.status == 502
        assert once.json == streamed.lines[-1]


class TestShow:
    def test_lists_are_shown_when_all_is_wanted(self, serving: StoreServing):
        name = next(str(each.name) for each in serving.store.list() if each.files.main)
        short, long = serving.show(name), serving.show(name, verbose=True)

        assert short["model_info"]["tokenizer.ggml.tokens"] is None
        tokens = long["model_info"]["tokenizer.ggml.tokens"]
        assert len(tokens) > 1000 and all(isinstance(each, str) for each in tokens)
        assert short["tensors"] == long["tensors"]

    def test_what_is_asked_for_beside_is_shown(self, serving: StoreServing):
        shown = serving.show("pocket", system="S", template="T", options={"top_k": 3})

        assert (shown["system"], shown["template"]) == ("S", "T")
        assert shown["parameters"].split() == ["top_k", "3"]

    def test_copilot_finds_the_name_it_asked_for(self, serving: StoreServing):
        headers = {"User-Agent": "GitHubCopilotChat/0.30"}

        answer = serving.ask("POST", "/api/show", {"model": "Pocket"}, headers)

        assert answer.json["model_info"]["general.basename"] == "Pocket"

    def test_a_model_for_mlx(self, serving: StoreServing):
        serving.store.import_path(builtin.FOLDER / "mlx", "folder")

        shown = serving.show("folder")

        assert shown["model_info"]["llama.context_length"] == 2048
        assert shown["tensors"] and shown["template"]
