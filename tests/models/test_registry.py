"""Pushing models, over real connections to a registry of our own that checks what comes."""

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import patience, registry_upload
from models.errors import InvalidModelName, InvalidRequest, ModelNotFound
from models.hub_errors import PullCancelled
from models.hub_progress import PullProgress
from models.model import Adapter, Profile, Said
from models.registry import PushFailed, Registry
from models.registry_address import parse
from models.store import Store
from tests import registry_server
from tests.registry_server import FakeRegistry
from tests.running import POCKET_GGUF, POCKET_MLX

GGUF = POCKET_GGUF.read_bytes()
CAT = Profile(
    context_length=512,
    sampling={"temperature": 0.5},
    stop=("a", "b"),
    template="{{ .System }} {{ .Prompt }}",
    system="You are a cat. 猫",
    messages=(Said("user", "hi"), Said("assistant", "Meow.")),
    license=("MIT", "none other"),
    keep_alive_seconds=5,
)


@pytest.fixture
def there() -> Iterator[FakeRegistry]:
    with registry_server.running(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "home", builtin=None)
    alone = tmp_path / POCKET_GGUF.name  # without its eyes, which would be one more layer
    shutil.copyfile(POCKET_GGUF, alone)
    store.import_path(alone, "me/cat:v1")
    return store


def push(store: Store, name: str, *, insecure: bool = True) -> list[PullProgress]:
    told: list[PullProgress] = []
    Registry(store).push(name, told.append, threading.Event(), insecure=insecure)
    return told


def kinds(manifest: Any) -> list[str]:
    return [each["mediaType"].rpartition(".")[2] for each in manifest["layers"]]


def contents(there: FakeRegistry, manifest: Any) -> dict[str, str]:
    layers = manifest["layers"][1:]
    return {each["mediaType"].rpartition(".")[2]: there.text(each["digest"]) for each in layers}


def test_a_model_is_there_with_all_that_makes_it(store: Store, there: FakeRegistry):
    model = store.set_profile("me/cat:v1", CAT)

    told = push(store, f"{there.host}/me/cat:v1")

    manifest = there.manifests["me/cat:v1"]
    assert kinds(manifest) == [
        *("model", "template", "system", "params", "license", "license", "messages")
    ]
    assert there.blobs[f"sha256:{model.digest}"] == GGUF
    said = contents(there, manifest)
    assert (said["template"], said["system"]) == (CAT.template, CAT.system)
    assert json.loads(said["params"]) == {"num_ctx": 512, "stop": ["a", "b"], "temperature": 0.5}
    assert json.loads(said["messages"])[1] == {"role": "assistant", "content": "Meow."}
    config = json.loads(there.text(manifest["config"]["digest"]))
    assert (config["model_format"], config["model_family"]) == ("gguf", "llama")
    assert config["rootfs"]["diff_ids"] == [each["digest"] for each in manifest["layers"]]
    statuses = list(dict.fromkeys(each.status for each in told))
    assert statuses == ["retrieving manifest", "pushing", "pushing manifest", "success"]
    of_weights = [each for each in told if each.sha256 == model.digest]
    assert [each.completed_bytes for each in of_weights] == sorted(
        each.completed_bytes for each in of_weights
    )
    assert of_weights[0].completed_bytes == 0
    assert of_weights[-1].completed_bytes == of_weights[-1].total_bytes == len(GGUF)


def test_a_model_as_it_came_is_its_weights_alone(store: Store, there: FakeRegistry):
    store.copy("me/cat:v1", "plain")

    push(store, f"http://{there.host}/library/plain")

    assert kinds(there.manifests["library/plain:latest"]) == ["model"]


def test_what_the_registry_has_is_not_sent_again(store: Store, there: FakeRegistry):
    push(store, f"{there.host}/me/cat:v1")
    there.asked.clear()
    store.set_profile("me/cat:v1", Profile(system="You are a dog."))

    told = push(store, f"{there.host}/me/cat:v1")

    assert len([each for each in there.asked if each.startswith("POST")]) == 2, "system and config"
    assert told[1].completed_bytes == told[1].total_bytes == len(GGUF)
    assert kinds(there.manifests["me/cat:v1"]) == ["model", "system"]


@pytest.mark.parametrize("forgets", [False, True])
def test_a_connection_that_is_cut_is_gone_on_from(
    store: Store, there: FakeRegistry, monkeypatch: pytest.MonkeyPatch, forgets: bool
):
    monkeypatch.setattr(patience, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(registry_upload, "_PART_BYTES", 2_000_000)
    there.cut_after = [2_000_000, 500_000]
    there.forgets = forgets

    told = push(store, f"{there.host}/me/cat:v1")

    assert told[-1].status == "success"
    assert any(each.startswith("GET") for each in there.asked)
    sent = [each for each in there.asked if each.startswith("POST")]
    assert len(sent) == (3 if forgets else 2), "the weights once, or anew, and the config"


def test_a_push_that_is_cancelled_ends_at_once(store: Store, there: FakeRegistry):
    there.stall_after = 1 << 20
    cancelled = threading.Event()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            name = f"{there.host}/me/cat:v1"
            Registry(store).push(name, lambda _: None, cancelled, insecure=True)
        except PullCancelled as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert there.stalled.wait(20)
    cancelled.set()
    there.go_on.set()
    thread.join()

    assert caught
    assert not there.manifests


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (401, "", "takes models only from those who are signed in there"),
        (403, "no", "takes models only from those who are signed in there"),
        (404, "", "is no registry that models can be pushed to"),
        (507, "it is full", "does not take the model (HTTP 507): it is full."),
    ],
)
def test_what_a_registry_refuses_is_one_sentence(
    store: Store, there: FakeRegistry, status: int, message: str, sentence: str
):
    there.refusal = (status, message)

    with pytest.raises(PushFailed) as caught:
        push(store, f"{there.host}/me/cat:v1")

    assert sentence in str(caught.value)
    assert caught.value.status_hint == 502


def test_weights_that_have_changed_are_not_taken_for_what_they_were(
    store: Store, there: FakeRegistry, tmp_path: Path
):
    path = tmp_path / "changed.gguf"
    path.write_bytes(GGUF)
    store.import_path(path, "me/changed")
    path.write_bytes(GGUF[:-1] + bytes([GGUF[-1] ^ 1]))

    with pytest.raises(PushFailed, match="digest did not match"):
        push(store, f"{there.host}/me/changed")
    assert not there.manifests


def test_where_nobody_answers_that_is_said(store: Store, there: FakeRegistry):
    with pytest.raises(PushFailed, match=r"cannot be reached by https.*'insecure'"):
        push(store, f"{there.host}/me/cat:v1", insecure=False)
    with pytest.raises(PushFailed, match="cannot be reached by http: check its address"):
        push(store, "127.0.0.1:9/me/cat:v1")


def test_what_is_no_place_to_push_to_is_refused(store: Store):
    for name, sentence in (
        ("me/cat:v1", "names no registry"),
        ("hf.co/me/cat:v1", "takes models only from those who are signed in"),
        ("registry.ollama.ai/me/cat:v1", "takes models only from those who are signed in"),
        ("http://registry.example/me/cat:v1", "insecure protocol http"),
    ):
        with pytest.raises(InvalidRequest, match=sentence):
            push(store, name, insecure=False)
    with pytest.raises(ModelNotFound):
        push(store, "nothere")
    with pytest.raises(ModelNotFound):
        push(store, "registry.example/me/nothere")
    with pytest.raises(InvalidModelName):
        push(store, "registry.example/me/../cat")


@pytest.mark.parametrize(
    ("name", "insecure", "base", "local"),
    [
        ("a.b/me/cat", False, "https://a.b/v2/me/cat", "me/cat:latest"),
        ("a:5000/library/cat:v1", True, "http://a:5000/v2/library/cat", "cat:v1"),
        ("http://a/me/cat", True, "http://a/v2/me/cat", "me/cat:latest"),
        ("https://[::1]:5000/me/cat", True, "https://[::1]:5000/v2/me/cat", "me/cat:latest"),
    ],
)
def test_an_address(name: str, insecure: bool, base: str, local: str):
    found = parse(name, insecure=insecure)

    assert (found.base, found.local) == (base, local)


def test_what_a_registry_cannot_keep_is_refused_with_the_reason(store: Store, tmp_path: Path):
    store.import_path(POCKET_MLX, "me/mlx")
    adapter = Adapter(tmp_path / "adapter.gguf", 0.5)
    store.copy("me/cat:v1", "me/jinja")
    store.set_profile("me/jinja", Profile(template="{% for each in messages %}{% endfor %}"))
    store.copy("me/cat:v1", "me/scaled")
    store.set_profile("me/scaled", replace(CAT, adapters=(adapter,)))

    for name, why in (("mlx", "for MLX"), ("jinja", "in Jinja"), ("scaled", "has a scale")):
        with pytest.raises(InvalidRequest, match=f"'me/{name}:latest' cannot be pushed: .*{why}"):
            push(store, f"registry.example/me/{name}")
