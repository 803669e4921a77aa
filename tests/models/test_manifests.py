"""Records of models: of older programs, of newer ones, and as other processes change them."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from models import atomic, builtin, facts, manifest
from models.errors import InvalidRequest, LoadFailed
from models.manifest import Manifest
from models.model import Adapter, Details, Files, Kind, KvType, Profile, Said
from models.store import Store
from tests.fakes import a_model
from tests.gguf_bytes import TINY, gguf_bytes

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# As the first version of the program wrote them.
OLD_GGUF = """{{
 "version": 1,
 "name": "Org/Mine:Q8_0",
 "kind": "llama",
 "folder": {folder},
 "path": {path},
 "size_bytes": 640,
 "digest": "6c1d4f4a0c8d0e5e1c1bd8c1a7f3d3f2a3a1a9d6f1f0e3b2c4d5e6f708192a3b",
 "modified_at": "2026-11-20T10:11:12.131415+00:00",
 "details": {{
  "architecture": "tiny",
  "parameter_count": 64,
  "quantization": "F32",
  "context_length": 512,
  "embedding_length": 64,
  "kv_bytes_per_token": 512,
  "chat": false,
  "description": "of old"
 }}
}}
"""
DIGEST = "6c1d4f4a0c8d0e5e1c1bd8c1a7f3d3f2a3a1a9d6f1f0e3b2c4d5e6f708192a3b"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/models/manifests").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home, builtin=None)


def gguf_file(path: Path, **metadata: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(TINY | metadata))
    return path


def record_of(home: Path, name: str) -> Path:
    return home / "models/manifests" / name


def write(home: Path, name: str, text: str) -> Path:
    path = record_of(home, name)
    path.write_text(text, encoding="utf-8")
    return path


def make_old(path: Path) -> None:
    """So that what is kept of it may be believed."""
    then = time.time() - 3600
    os.utime(path, (then, then))


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# -- Older programs ------------------------------------


def test_an_old_record_of_a_file_elsewhere_opens_without_loss(
    store: Store, home: Path, tmp_path: Path
):
    path = gguf_file(tmp_path / "far/away.gguf")
    write(home, "org+mine@q8_0.json", OLD_GGUF.format(folder="null", path=json.dumps(str(path))))

    model = store.find("org/mine:Q8_0")

    assert store.list() == [model]
    assert (str(model.name), model.kind, model.path) == ("Org/Mine:Q8_0", Kind.LLAMA, path)
    assert (model.size_bytes, model.digest) == (640, DIGEST)
    assert model.modified_at.isoformat() == "2026-11-20T10:11:12.131415+00:00"
    assert model.details.description == "of old"
    assert model.profile == Profile()
    assert not store.owns(model)


def test_an_old_record_of_files_of_our_own_opens_without_loss(store: Store, home: Path):
    path = gguf_file(home / "models/files" / DIGEST / "model.gguf")
    write(home, "org+mine@q8_0.json", OLD_GGUF.format(folder=f'"{DIGEST}"', path='"model.gguf"'))

    store.sweep()

    model = store.find("org/mine:Q8_0")
    assert model.files == Files(path.parent, "model.gguf")
    assert path.exists()
    assert store.owns(model)


def test_an_old_record_of_a_folder_opens_without_loss(store: Store, home: Path):
    old = OLD_GGUF.replace('"llama"', '"mlx"')
    folder = builtin.FOLDER / "mlx"
    write(home, "org+mine@q8_0.json", old.format(folder="null", path=json.dumps(str(folder))))

    model = store.find("org/mine:Q8_0")

    assert (model.kind, model.path) == (Kind.MLX, folder)
    assert model.details.tools


def test_facts_that_an_old_record_lacks_are_read_from_the_files(store: Store, home: Path):
    gguf_file(
        home / "models/files" / DIGEST / "model.gguf",
        **{"tokenizer.chat_template": "{{ tools }}<tool_call>arguments</tool_call><think></think>"},
    )
    path = write(
        home, "org+mine@q8_0.json", OLD_GGUF.format(folder=f'"{DIGEST}"', path='"model.gguf"')
    )
    before = path.read_bytes()

    details = store.find("org/mine:Q8_0").details

    assert (details.tools, details.thinking, details.chat) == (True, True, True)
    assert store.list()[0].details == details
    assert path.read_bytes() == before  # whoever looks writes nothing

    store.sweep()

    assert json.loads(path.read_bytes())["facts_version"] == facts.VERSION
    assert store.find("org/mine:Q8_0").details == details


def test_the_facts_stay_as_they_were_while_the_files_are_away(store: Store, home: Path):
    write(home, "org+mine@q8_0.json", OLD_GGUF.format(folder="null", path='"/not/there.gguf"'))

    store.sweep()

    (model,) = store.list()
    assert (model.details.context_length, model.details.description) == (512, "of old")


@pytest.mark.parametrize("fact", [each.name for each in fields(Details)])
def test_a_fact_that_is_missing_or_odd_is_read_again(
    store: Store, home: Path, tmp_path: Path, fact: str
):
    model = store.import_path(gguf_file(tmp_path / "m.gguf"), "mine")
    path = record_of(home, "mine@latest.json")
    written = json.loads(path.read_text())["details"]

    for odd in (written | {fact: ["?"]}, {k: v for k, v in written.items() if k != fact}):
        rewrite(path, details=odd)
        assert store.find("mine").details == model.details


def test_keys_that_are_not_known_are_passed_over(store: Store, home: Path, tmp_path: Path):
    model = store.import_path(gguf_file(tmp_path / "m.gguf"), "mine")
    path = record_of(home, "mine@latest.json")
    record = json.loads(path.read_text())

    rewrite(
        path,
        details=record["details"] | {"smell": "of roses"},
        profile=record["profile"] | {"mood": 7},
        files=record["files"] | {"draft": "d.gguf"},
        later={},
    )

    assert store.find("mine") == model
    store.sweep()
    assert "of roses" in path.read_text()  # nothing was wrong with it


# -- Newer programs ------------------------------------


def newer(home: Path, tmp_path: Path, store: Store) -> Path:
    """A copied model whose record a newer program has written."""
    store.import_path(gguf_file(tmp_path / "m.gguf"), "ours", copy=True)
    store.import_path(gguf_file(tmp_path / "n.gguf", **{"tiny.x": 1}), "theirs", copy=True)
    path = record_of(home, "theirs@latest.json")
    rewrite(path, version=99, kind="quantum")
    return path


def test_a_newer_record_is_refused_by_name_and_the_others_live_on(
    store: Store, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = newer(home, tmp_path, store)

    assert [str(each.name) for each in store.list()] == ["ours:latest"]
    assert store.find("ours").path.exists()
    with pytest.raises(LoadFailed, match=r"'theirs' was written by a newer Inglenook: update"):
        store.find("theirs")
    store.list()
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warned) == 1 and path.name in warned[0].getMessage()


def test_a_newer_record_and_its_weights_are_left_alone(store: Store, home: Path, tmp_path: Path):
    path = newer(home, tmp_path, store)
    before, files = path.read_bytes(), sorted((home / "models/files").iterdir())

    store.sweep()
    store.copy("ours", "alias")
    for change in (
        lambda: store.import_path(tmp_path / "m.gguf", "Theirs"),
        lambda: store.copy("ours", "theirs"),
    ):
        with pytest.raises(InvalidRequest, match="newer Inglenook"):
            change()
    store.remove("ours")

    assert path.read_bytes() == before
    assert sorted((home / "models/files").iterdir()) == files


# -- What a record holds -------------------------------


def test_a_record_comes_back_as_it_was_written(tmp_path: Path):
    profile = Profile(
        context_length=8192,
        kv_type=KvType.Q8_0,
        sampling={"temperature": 0.5, "top_k": 40},
        template="{{ messages }}",
        system="Be brief.",
        messages=(Said("user", "hi"),),
        max_tokens=9,
        stop=("a", "b"),
        license=("MIT",),
        keep_alive_seconds=-1.5,
        adapters=(Adapter(tmp_path / "a.gguf", 0.5), Adapter(Path("/b"))),
        drafts="org/small:Q8_0",
    )
    files = Files(tmp_path, "m-00001-of-00002.gguf", "mmproj.gguf")
    model = replace(a_model("org/m:Q8_0"), files=files, profile=profile)

    for record in (
        Manifest(model, None, facts.VERSION),
        Manifest(replace(model, files=replace(files, folder=tmp_path / "abc")), "abc", 7),
        Manifest(replace(model, files=Files(tmp_path, "")), None, facts.VERSION),
    ):
        assert manifest.decode(manifest.encode(record, tmp_path), tmp_path) == record


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 here")
def test_a_name_that_is_not_utf8_is_refused_in_a_sentence_or_copied(store: Store, tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    path = gguf_file(folder / os.fsdecode(b"mod\xe8le.gguf"))

    with pytest.raises(InvalidRequest, match="is not in UTF-8") as raised:
        store.import_path(path, "mine")
    str(raised.value).encode()

    model = store.import_path(path, "mine", copy=True)
    assert store.find("mine").path == model.path
    assert model.path.read_bytes() == path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 here")
def test_a_sentence_about_a_file_can_always_be_shown(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"\xff.gguf")
    path.write_bytes(b"no model")

    with pytest.raises(LoadFailed) as raised:
        facts.read(path)

    assert str(raised.value) == "?.gguf is not a GGUF file."


# -- Company -------------------------------------------


def test_what_has_not_changed_is_not_read_again(
    store: Store, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("one", "two"):
        store.import_path(gguf_file(tmp_path / "m.gguf"), name)
        make_old(record_of(home, f"{name}@latest.json"))
    before = store.list()
    decoded: list[bytes] = []
    decode = manifest.decode

    def counting(raw: bytes, files: Path) -> Manifest:
        decoded.append(raw)
        return decode(raw, files)

    monkeypatch.setattr(manifest, "decode", counting)

    assert store.list() == before
    assert store.find("one") in before
    assert not decoded

    rewrite(record_of(home, "two@latest.json"), digest="f" * 64)
    make_old(record_of(home, "two@latest.json"))
    store.list()
    assert len(decoded) == 1


def test_what_another_process_changes_is_seen_at_once(store: Store, home: Path, tmp_path: Path):
    path = gguf_file(tmp_path / "m.gguf")
    for name in ("changed", "gone", "stays"):
        store.import_path(path, name)
        make_old(record_of(home, f"{name}@latest.json"))
    assert len(store.list()) == 3
    gguf_file(path, **{"tiny.context_length": 1024})
    code = (
        "import sys; from pathlib import Path; from models.store import Store\n"
        "home, path = map(Path, sys.argv[1:])\n"
        "store = Store(home, builtin=None)\n"
        "store.import_path(path, 'changed'); store.import_path(path, 'new'); store.remove('gone')\n"
    )

    subprocess.run([sys.executable, "-c", code, home, path], cwd=REPOSITORY, check=True)

    assert {str(each.name): each.details.context_length for each in store.list()} == {
        "changed:latest": 1024,
        "new:latest": 1024,
        "stays:latest": 512,
    }
    assert store.find("changed").details.context_length == 1024


def test_a_change_within_one_tick_of_the_clock_is_seen(store: Store, home: Path, tmp_path: Path):
    store.import_path(gguf_file(tmp_path / "m.gguf"), "mine")
    path = record_of(home, "mine@latest.json")
    before = path.stat()
    assert store.find("mine").digest[0] != "f" and store.list()

    raw = bytearray(path.read_bytes())
    at = raw.index(b'"digest": "') + len(b'"digest": "')
    raw[at : at + 64] = b"f" * 64
    with path.open("r+b") as file:  # the same size, the same inode
        file.write(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert store.find("mine").digest == "f" * 64
    assert store.list()[0].digest == "f" * 64


def test_threads_may_look_while_others_add_and_remove(store: Store, home: Path, tmp_path: Path):
    path = gguf_file(tmp_path / "m.gguf")
    store.import_path(path, "stays")
    make_old(record_of(home, "stays@latest.json"))
    done, wrong = threading.Event(), list[object]()

    def look() -> None:
        while not done.is_set():
            try:
                names = {str(each.name) for each in store.list()}
                if "stays:latest" not in names or store.find("stays").digest == "":
                    wrong.append(names)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        store.import_path(path, f"goes-{turn}")
        make_old(record_of(home, f"goes-{turn}@latest.json"))
        store.remove(f"goes-{turn}")
    done.set()
    for thread in threads:
        thread.join()

    assert not wrong


def test_looking_and_opening_write_nothing_and_wait_for_nobody(
    store: Store, home: Path, tmp_path: Path
):
    store.import_path(gguf_file(tmp_path / "m.gguf"), "mine")
    leftover = home / "models/files" / ("0" * 64)
    leftover.mkdir(parents=True)

    with atomic.lock(home / "models/.lock"):
        again = Store(home, builtin=builtin.FOLDER)
        assert str(again.list()[0].name) == "mine:latest"
        assert again.find("mine").name == store.find("mine").name

    assert leftover.exists()
