"""The store: what is added stays, what is removed goes, and nobody else's files do."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import gguf
import pytest

from models import atomic, builtin, facts, weights
from models.errors import (
    DiskFull,
    InvalidModelName,
    InvalidRequest,
    LoadFailed,
    ModelNotFound,
)
from models.model import Files, Kind, KvType, Profile
from models.store import Store
from tests.bert_models import write_gguf, write_mlx
from tests.gguf_bytes import TINY, gguf_bytes

POCKET = builtin.FOLDER
REPOSITORY = POCKET.parent.parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home, builtin=None)


def gguf_file(folder: Path, name: str = "model.gguf", context_length: int = 512) -> Path:
    path = folder / name
    path.write_bytes(gguf_bytes(TINY | {"tiny.context_length": context_length}))
    return path


def mlx_folder(parent: Path, name: str = "mlx") -> Path:
    return shutil.copytree(POCKET / "mlx", parent / name)


def names(store: Store) -> list[str]:
    return [str(model.name) for model in store.list()]


def weights_of_our_own(home: Path) -> list[str]:
    return [path.name for path in (home / "models/files").glob("*")]


def damage(home: Path, name: str, raw: bytes = b"{") -> None:
    (home / "models/manifests" / name).write_bytes(raw)


def make_old(path: Path, days: float) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))


# -- Adding --------------------------------------------


def test_a_file_imported_in_place_stays_where_it_is(store: Store, home: Path, tmp_path: Path):
    path = gguf_file(tmp_path)

    model = store.import_path(path, "mine")

    assert store.find("mine") == model
    assert (model.kind, model.path, model.size_bytes) == (Kind.LLAMA, path, path.stat().st_size)
    assert model.details.context_length == 512
    assert not weights_of_our_own(home)


def test_an_encoders_folder_is_imported_with_its_pooling(store: Store, tmp_path: Path):
    write_gguf(tmp_path / "bert.gguf", gguf.PoolingType.CLS)
    write_mlx(tmp_path / "bert", tmp_path / "bert.gguf", pooling="cls")

    model = store.import_path(tmp_path / "bert", "encoder", copy=True)

    assert (model.kind, model.details.completes, model.details.pooling) == (Kind.MLX, False, "cls")
    assert (model.path / "1_Pooling/config.json").is_file()
    assert facts.of_mlx(model.path) == model.details


def test_a_copied_file_outlives_the_one_it_came_from(store: Store, tmp_path: Path):
    path = gguf_file(tmp_path)
    in_place = store.import_path(path, "one")

    copied = store.import_path(path, "two", copy=True)
    path.unlink()

    assert copied.digest == in_place.digest
    assert copied.path.stat().st_size == copied.size_bytes
    assert store.find("two") == copied


def test_an_mlx_folder_is_copied_without_what_is_not_the_model(store: Store, tmp_path: Path):
    folder = mlx_folder(tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    (folder / "modeling.py").write_bytes(b"raise SystemExit")
    (folder / ".git").mkdir()

    model = store.import_path(folder, "mine", copy=True)

    assert model.kind is Kind.MLX
    assert {path.name for path in model.path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "vision",
    }
    of_the_gguf = facts.of_files(Kind.LLAMA, Files(POCKET / "gguf", "pocket.gguf"))
    assert model.details.parameter_count == of_the_gguf.parameter_count > 0
    assert model.details.quantization == "F16"
    assert model.details.chat


def test_the_same_weights_are_kept_once(store: Store, home: Path, tmp_path: Path):
    one = store.import_path(gguf_file(tmp_path, "a.gguf"), "one", copy=True)
    two = store.import_path(gguf_file(tmp_path, "b.gguf"), "two", copy=True)

    assert one.path == two.path
    assert len(weights_of_our_own(home)) == 1


def test_weights_that_were_damaged_are_mended_by_adding_them_again(store: Store, tmp_path: Path):
    source = gguf_file(tmp_path)
    first = store.import_path(source, "mine", copy=True)
    first.path.write_bytes(b"GGUF")

    again = store.import_path(source, "mine", copy=True)

    assert again.path.read_bytes() == source.read_bytes()


def test_shards_are_copied_together(store: Store, tmp_path: Path):
    first = gguf_file(tmp_path, "m-00001-of-00002.gguf")
    second = gguf_file(tmp_path, "m-00002-of-00002.gguf")

    model = store.import_path(first, "mine", copy=True)

    assert model.path.name == first.name
    assert (model.path.parent / second.name).read_bytes() == second.read_bytes()
    assert model.size_bytes == first.stat().st_size + second.stat().st_size


def test_a_name_that_is_taken_is_replaced_and_keeps_its_spelling(
    store: Store, home: Path, tmp_path: Path
):
    store.import_path(gguf_file(tmp_path, "a.gguf", 512), "Mine", copy=True)

    model = store.import_path(gguf_file(tmp_path, "b.gguf", 1024), "mINE", copy=True)

    assert str(model.name) == "Mine:latest"
    assert store.find("MINE").details.context_length == 1024
    assert weights_of_our_own(home) == [model.digest]  # and not the older one's


@pytest.mark.parametrize("copy", [False, True])
def test_a_model_that_is_added_again_is_used_as_before_and_another_kind_is_not(
    store: Store, tmp_path: Path, copy: bool
):
    store.import_path(gguf_file(tmp_path, "a.gguf"), "mine", copy=copy)
    profile = Profile(kv_type=KvType.Q8_0, sampling={"top_k": 7})
    store.set_profile("mine", profile)

    again = store.import_path(gguf_file(tmp_path, "b.gguf", 1024), "mine", copy=copy)
    assert again.profile == profile
    assert store.find("mine") == again
    assert store.import_path(mlx_folder(tmp_path), "mine", copy=copy).profile == Profile()


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json"])
def test_a_damaged_folder_leaves_no_model(store: Store, tmp_path: Path, damaged: str):
    folder = mlx_folder(tmp_path)
    raw = (folder / damaged).read_bytes()
    (folder / damaged).write_bytes(raw[: len(raw) // 2])

    with pytest.raises(LoadFailed, match=damaged):
        store.import_path(folder, "mine", copy=True)

    assert not store.list()


def test_half_of_a_model_in_shards_is_refused(store: Store, tmp_path: Path):
    folder = mlx_folder(tmp_path)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(LoadFailed, match=r"model-2\.safetensors is missing"):
        store.import_path(folder, "mine")


def test_a_packed_weight_counts_as_what_was_packed(store: Store, tmp_path: Path):
    folder = mlx_folder(tmp_path)
    shapes = {"a.weight": ("U32", [64, 8]), "a.scales": ("F16", [64, 1])}
    shapes |= {"a.biases": ("F16", [64, 1]), "norm.weight": ("F16", [64])}
    header: dict[str, object] = {}
    end = 0
    for name, (kind, shape) in shapes.items():
        size = (4 if kind == "U32" else 2) * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(end))
    config = json.loads((folder / "config.json").read_text())
    config["quantization"] = {"bits": 4, "group_size": 64}
    (folder / "config.json").write_text(json.dumps({"model_type": "seer", "text_config": config}))
    config_of_all = {
        "model_type": "seer",
        "text_config": config,
        "quantization": config["quantization"],
    }
    (folder / "config.json").write_text(json.dumps(config_of_all))

    details = store.import_path(folder, "mine").details

    assert details.quantization == "4bit"
    assert details.parameter_count == 64 * 64 + 64
    assert details.architecture == "seer"
    assert details.kv_bytes_per_token == 6 * 3 * 2 * 64 * 2  # layers, heads, K and V, width, bytes


def test_a_disk_that_is_full_is_told_before_anything_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    with pytest.raises(DiskFull, match="The disk is too full"):
        store.import_path(gguf_file(tmp_path), "mine", copy=True)


def test_a_disk_that_becomes_full_is_told_and_leaves_nothing_behind(
    store: Store, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = gguf_file(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for copy in (False, True):
        with pytest.raises(DiskFull, match="has become full") as raised:
            store.import_path(path, "mine", copy=copy)
        assert raised.value.status_hint == 507
    monkeypatch.undo()

    assert not store.list()
    assert not weights_of_our_own(home)


def test_a_projector_comes_with_its_model(store: Store, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    path = gguf_file(source)
    blind = store.import_path(path, "blind", copy=True)
    eyes = gguf_bytes({"general.architecture": "clip", "clip.vision.projection_dim": 64})
    (source / "mmproj-F16.gguf").write_bytes(eyes)

    in_place = store.import_path(path, "there")
    model = store.import_path(path, "here", copy=True)

    assert model.files == Files(model.path.parent, "model.gguf", "mmproj-F16.gguf")
    assert (model.path.parent / model.files.projector).read_bytes() == eyes
    assert store.find("here") == model
    assert model.digest == in_place.digest != blind.digest
    assert model.size_bytes == in_place.size_bytes == path.stat().st_size + len(eyes)
    assert store.find("blind").path.exists()


def test_templates_in_a_folder_of_their_own_come_with_a_copy(store: Store, tmp_path: Path):
    folder = mlx_folder(tmp_path)
    (folder / "additional_chat_templates").mkdir()
    (folder / "chat_template.jinja").rename(folder / "additional_chat_templates/default.jinja")

    model = store.import_path(folder, "mine", copy=True)

    assert facts.mlx_chat_template(model.path) == facts.mlx_chat_template(folder)
    assert model.size_bytes == store.import_path(folder, "there").size_bytes


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a b"])
def test_a_name_that_is_no_name_is_refused(store: Store, tmp_path: Path, name: str):
    with pytest.raises(InvalidModelName):
        store.import_path(gguf_file(tmp_path), name)


# -- Looking -------------------------------------------


def test_the_newest_comes_first_and_our_own_last(home: Path, tmp_path: Path):
    store = Store(home, builtin=POCKET)
    for name in ("one", "two", "three"):
        store.import_path(gguf_file(tmp_path), name)

    listed = names(store)

    assert listed[:4] == ["three:latest", "two:latest", "one:latest", "pocket:latest"]


def test_another_process_sees_what_was_added(store: Store, home: Path, tmp_path: Path):
    store.import_path(gguf_file(tmp_path), "Org/Mine:Q8_0")

    again = Store(home, builtin=None)

    assert again.list() == store.list()
    assert again.find("org/mine:q8_0").modified_at.tzinfo is UTC


def test_a_home_that_was_moved_still_has_its_copies(store: Store, home: Path, tmp_path: Path):
    store.import_path(gguf_file(tmp_path), "mine", copy=True)
    moved = home.rename(tmp_path / "elsewhere")

    assert Store(moved, builtin=None).find("mine").path.is_relative_to(moved)


def test_files_that_went_away_are_told_of_and_can_come_back(store: Store, tmp_path: Path):
    path = gguf_file(tmp_path)
    store.import_path(path, "mine")
    path.rename(tmp_path / "aside")

    with pytest.raises(LoadFailed, match=r"model\.gguf is not there any more"):
        store.find("mine")
    assert names(store) == ["mine:latest"]

    (tmp_path / "aside").rename(path)
    assert store.find("mine").path == path


def test_what_is_not_here_is_not_found(store: Store):
    with pytest.raises(ModelNotFound, match="'nothing' is not on this computer"):
        store.find("nothing")
    with pytest.raises(InvalidModelName):
        store.find("no/such/name")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"null",
        b'{"version": 2}',
        b'{"version": 1}',
        b'{"version": 1, "folder": "..", "path": "x"}',
        b"[" * 100_000,
    ],
)
def test_a_broken_record_harms_no_other(store: Store, home: Path, tmp_path: Path, raw: bytes):
    store.import_path(gguf_file(tmp_path), "good", copy=True)
    store.import_path(gguf_file(tmp_path), "bad")
    damage(home, "bad@latest.json", raw)

    assert names(store) == ["good:latest"]
    with pytest.raises(LoadFailed, match="damaged"):
        store.find("bad")

    store.remove("good")
    assert weights_of_our_own(home)  # the broken record may have meant them
    store.remove("bad")
    assert not weights_of_our_own(home)


def test_looking_into_a_new_home_writes_nothing(store: Store, home: Path):
    assert store.list() == []
    with pytest.raises(ModelNotFound):
        store.find("x")
    assert not home.exists()


# -- Removing and aliases ------------------------------


def test_files_imported_in_place_are_never_deleted(store: Store, tmp_path: Path):
    path, folder = gguf_file(tmp_path), mlx_folder(tmp_path)
    store.import_path(path, "one")
    store.import_path(folder, "two")

    store.remove("one")
    store.remove("TWO")

    assert path.exists()
    assert (folder / "model.safetensors").exists()
    assert not store.list()


def test_shared_weights_go_with_the_last_name(store: Store, home: Path, tmp_path: Path):
    store.import_path(gguf_file(tmp_path), "one", copy=True)
    store.copy("one", "two")

    store.remove("one")
    assert store.find("two").path.exists()

    store.remove("two")
    assert not weights_of_our_own(home)


def test_an_alias_is_the_same_model_under_another_name(store: Store, tmp_path: Path):
    original = store.import_path(gguf_file(tmp_path), "one")

    alias = store.copy("ONE", "Org/Two:b")

    assert str(alias.name) == "Org/Two:b"
    assert (alias.digest, alias.path) == (original.digest, original.path)
    assert names(store) == ["Org/Two:b", "one:latest"]


def test_what_is_not_here_can_be_neither_removed_nor_copied(store: Store):
    with pytest.raises(ModelNotFound):
        store.remove("nothing")
    with pytest.raises(ModelNotFound):
        store.copy("nothing", "other")
    with pytest.raises(InvalidModelName):
        store.remove("../manifests")


# -- What ships with the program -----------------------


def test_the_pocket_model_is_there_and_cannot_be_lost(home: Path, tmp_path: Path):
    store = Store(home, builtin=POCKET)

    pocket = store.find("Pocket")

    assert pocket.builtin
    assert pocket.details.chat
    assert "to try the set-up with" in pocket.details.description
    for change in (
        lambda: store.remove("pocket:latest"),
        lambda: store.import_path(gguf_file(tmp_path), "POCKET"),
        lambda: store.copy("pocket", "pocket"),
    ):
        with pytest.raises(InvalidRequest, match="ships with Inglenook"):
            change()


def test_the_sums_of_the_pocket_model_are_those_of_its_files():
    found = (path for kind in ("gguf", "mlx") for path in (POCKET / kind).rglob("*"))
    files = [path for path in found if path.is_file()]

    told = (POCKET / "SHA256SUMS").read_text(encoding="utf-8").splitlines()

    assert sorted(told) == sorted(
        f"{weights.hash_of(path)}  {path.relative_to(POCKET).as_posix()}" for path in files
    )


def test_the_digest_of_the_pocket_model_does_not_depend_on_its_sums(home: Path, tmp_path: Path):
    told = {str(each.name): each.digest for each in Store(home, builtin=POCKET).list()}
    copied = shutil.copytree(POCKET, tmp_path / "pocket")
    (copied / "SHA256SUMS").unlink()

    counted = {str(each.name): each.digest for each in Store(home, builtin=copied).list()}

    assert told == counted
    assert len(set(told.values())) == len(told)


def test_an_alias_of_the_pocket_model_can_be_removed_again(home: Path):
    store = Store(home, builtin=POCKET)

    assert not store.copy("pocket", "mine").builtin
    store.remove("mine")

    assert store.find("pocket").path.exists()


def test_half_an_installation_has_no_pocket_model_and_still_works(home: Path, tmp_path: Path):
    store = Store(home, builtin=tmp_path / "nothing")

    store.import_path(gguf_file(tmp_path), "mine")

    assert names(store) == ["mine:latest"]


# -- Crashes and company -------------------------------


def test_what_a_killed_process_left_is_cleared_away_when_it_is_old(
    store: Store, home: Path, tmp_path: Path
):
    kept = store.import_path(gguf_file(tmp_path), "mine", copy=True)
    files, manifests = home / "models/files", home / "models/manifests"
    old, new = files / ".0123.tmp", files / ".4567.tmp"
    for folder in (old, new):
        folder.mkdir()
        (folder / "model.gguf").write_bytes(b"half")
    (manifests / ".89ab.tmp").write_bytes(b"half")
    unnamed = files / ("0" * 64)  # moved in, and killed before its manifest was written
    unnamed.mkdir()
    make_old(old, days=2)
    make_old(manifests / ".89ab.tmp", days=2)

    store.sweep()

    assert sorted(path.name for path in files.iterdir()) == [".4567.tmp", kept.digest]
    assert [path.name for path in manifests.iterdir()] == ["mine@latest.json"]


def test_a_download_is_kept_for_weeks(home: Path):
    partial = home / "models/partial"
    for name, days in (("young", 20), ("old", 40)):
        (partial / name).mkdir(parents=True)
        make_old(partial / name, days)

    Store(home, builtin=None).sweep()

    assert [path.name for path in partial.iterdir()] == ["young"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "file"
    atomic.write(path, b"old")

    with pytest.raises(TypeError):
        atomic.write(path, "not bytes")  # pyright: ignore[reportArgumentType]

    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_several_processes_may_add_and_remove_at_once(home: Path, tmp_path: Path):
    source = gguf_file(tmp_path)
    code = (
        "import sys; from pathlib import Path; from models.store import Store\n"
        "home, source, name = map(Path, sys.argv[1:])\n"
        "store = Store(home, builtin=None)\n"
        "for turn in range(15):\n"
        "    store.import_path(source, f'{name}-{turn}', copy=True)\n"
        "    assert store.find(f'{name}-{turn}').path.exists()\n"
        "    if turn % 3: store.remove(f'{name}-{turn}')\n"
    )
    run = [sys.executable, "-c", code, str(home), str(source)]
    both = [subprocess.Popen([*run, name], cwd=REPOSITORY) for name in ("a", "b")]

    assert [process.wait() for process in both] == [0, 0]

    store = Store(home, builtin=None)
    assert len(store.list()) == 10
    for model in store.list():
        assert store.find(str(model.name)).path.exists()


def test_the_time_is_told_in_utc(store: Store, tmp_path: Path):
    before = datetime.now(UTC)

    assert before <= store.import_path(gguf_file(tmp_path), "mine").modified_at
