"""Models that are made of others and of files that were sent: theirs, and used in another way."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from models import builtin
from models.creation import Creation, Recipe
from models.errors import InvalidRequest, LoadFailed, ModelNotFound
from models.hub_progress import PullProgress
from models.model import Adapter, Kind, Model, Profile, Said
from models.store import Store
from tests import adapters
from tests.models.test_store import gguf_file, weights_of_our_own


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home, builtin=builtin.FOLDER)


def make(store: Store, name: str, **recipe) -> Model:
    told: list[PullProgress] = []
    model = Creation(store, name, Recipe(**recipe)).run(told.append)
    assert told[-1].status == "success"
    return model


def send(store: Store, path: Path) -> str:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with store.blobs.upload(sha256, path.stat().st_size) as upload:
        upload.write(path.read_bytes())
        upload.finish()
    return f"sha256:{sha256}"


def pocket(store: Store) -> str:
    """The one for llama.cpp, which has another name where MLX serves better."""
    return next(str(each.name) for each in store.list() if each.kind is Kind.LLAMA)


CAT = {
    "system": "You are a cat.",
    "template": "{{ .Prompt }}",
    "messages": (Said("user", "hi"), Said("assistant", "Meow.")),
    "license": ("MIT",),
    "parameters": {"temperature": 0, "num_ctx": 1024, "stop": ["<end>"], "num_gpu": 9},
}
CAT_PROFILE = Profile(
    context_length=1024,
    sampling={"temperature": 0},
    stop=("<end>",),
    template="{{ .Prompt }}",
    system="You are a cat.",
    messages=(Said("user", "hi"), Said("assistant", "Meow.")),
    license=("MIT",),
)


class TestOfAModel:
    def test_it_has_the_files_of_the_other_and_a_profile_of_its_own(self, store: Store):
        made = make(store, "cat", base="pocket", **CAT)

        assert store.find("cat") == made
        assert made.files == store.find("pocket").files
        assert made.profile == CAT_PROFILE
        assert store.find("pocket").profile == Profile()

    def test_what_has_no_effect_is_named(self, store: Store):
        assert Creation(store, "cat", Recipe(base="pocket", **CAT)).ignored == (
            "parameters.num_gpu",
        )

    def test_what_is_not_said_is_as_the_other_has_it(self, store: Store):
        make(store, "cat", base="pocket", **CAT)

        made = make(store, "hot-cat", base="cat", parameters={"temperature": 2}, system="")

        assert made.profile == replace(CAT_PROFILE, sampling={"temperature": 2}, system=None)

    def test_one_may_be_made_of_itself(self, store: Store):
        make(store, "cat", base="pocket", **CAT)

        assert make(store, "CAT", base="cat", system="S").profile.system == "S"
        assert store.find("cat").profile.license == ("MIT",)

    @pytest.mark.parametrize(
        ("recipe", "sentence"),
        [
            ({}, "neither 'from' or 'files' was specified"),
            ({"base": "pocket", "template": "{{ .Prompt"}, "template error: template: :1:"),
            ({"base": "pocket", "template": "{% for"}, "template error: The model's chat template"),
            ({"base": "pocket", "quantize": "q99"}, "unsupported quantization type Q99 - "),
            ({"base": "pocket", "parameters": {"top_p": 9}}, 'parameter "top_p" must be '),
        ],
    )
    def test_what_is_wrong_is_said_before_anything_is_done(
        self, store: Store, recipe: dict, sentence: str
    ):
        with pytest.raises(InvalidRequest) as caught:
            Creation(store, "cat", Recipe(**recipe))

        assert str(caught.value).startswith(sentence)

    def test_a_model_that_is_not_here_cannot_be_the_base(self, store: Store):
        with pytest.raises(ModelNotFound):
            Creation(store, "cat", Recipe(base="nothere"))

    def test_the_model_that_ships_with_us_is_not_made_anew(self, store: Store):
        with pytest.raises(InvalidRequest, match="ships with Inglenook"):
            Creation(store, "pocket", Recipe(base="pocket"))


class TestOfFiles:
    def test_a_file_is_taken_over_and_not_kept_twice(
        self, store: Store, home: Path, tmp_path: Path
    ):
        digest = send(store, gguf_file(tmp_path))

        made = make(store, "mine", files={"m.gguf": digest}, system="S")

        assert (made.digest, made.profile.system) == (digest.removeprefix("sha256:"), "S")
        assert store.owns(made)
        assert list((home / "models/blobs").iterdir()) == []
        assert made.path.stat().st_nlink == 1

    def test_a_file_that_a_model_is_made_of_need_not_be_sent_again(
        self, store: Store, tmp_path: Path
    ):
        digest = send(store, gguf_file(tmp_path))
        first = make(store, "first", files={"m.gguf": digest})

        second = make(store, "second", files={"other": digest})

        assert second.files == first.files
        store.remove("first")
        assert store.find("second").path.is_file()

    def test_weights_go_with_the_last_model_that_has_them(
        self, store: Store, home: Path, tmp_path: Path
    ):
        make(store, "first", files={"m.gguf": send(store, gguf_file(tmp_path))})
        make(store, "second", base="first", system="S")

        store.remove("first")
        assert weights_of_our_own(home)
        store.remove("second")
        assert not weights_of_our_own(home)

    @pytest.mark.parametrize(
        "name", ["/etc/m.gguf", "../m.gguf", "a/../../m.gguf", "C:\\m.gguf", "..\\m.gguf", ""]
    )
    def test_no_name_leads_out_of_the_store(self, store: Store, tmp_path: Path, name: str):
        digest = send(store, gguf_file(tmp_path))

        with pytest.raises(InvalidRequest, match=r"^file path must be relative$"):
            Creation(store, "mine", Recipe(files={name: digest}))

    def test_a_file_that_was_not_sent_is_named_by_its_digest(self, store: Store):
        digest = "sha256:" + "1" * 64

        with pytest.raises(InvalidRequest, match=digest):
            Creation(store, "mine", Recipe(files={"m.gguf": digest}))
        with pytest.raises(InvalidRequest, match=r"^invalid digest format$"):
            Creation(store, "mine", Recipe(files={"m.gguf": "xyz"}))

    def test_what_is_no_model_leaves_nothing_behind(self, store: Store, home: Path, tmp_path: Path):
        path = tmp_path / "m.gguf"
        path.write_bytes(b"GGUF is what it begins with")
        creation = Creation(store, "mine", Recipe(files={"m.gguf": send(store, path)}))

        with pytest.raises(LoadFailed):
            creation.run(lambda progress: None)

        assert not weights_of_our_own(home)
        with pytest.raises(ModelNotFound):
            store.find("mine")

    def test_a_folder_for_mlx(self, store: Store):
        paths = [each for each in (builtin.FOLDER / "mlx").iterdir() if each.is_file()]

        made = make(store, "mine", files={each.name: send(store, each) for each in paths})

        assert {each.name for each in made.path.iterdir()} == {each.name for each in paths}

    def test_a_projector_goes_with_its_model(self, store: Store, testdata: Path):
        folder = testdata / "models/tinychat"
        made = make(
            store,
            "sees",
            files={
                "b.gguf": send(store, folder / "tinychat-1m-F16.gguf"),
                "a.gguf": send(store, folder / "mmproj-tiny-random-F32.gguf"),
            },
        )

        assert (made.files.main, made.files.projector) == ("b.gguf", "mmproj-a.gguf")


class TestAdapters:
    def test_one_that_was_sent_is_our_own_and_goes_with_its_model(
        self, store: Store, home: Path, tmp_path: Path
    ):
        digest = send(store, adapters.write_gguf(tmp_path / "a.gguf"))
        made = make(store, "tuned", base=pocket(store), sent_adapters={"a.gguf": digest})

        [adapter] = made.profile.adapters
        assert adapter.path.is_file() and adapter.path.is_relative_to(home)
        assert Store(home, builtin=None).find("tuned").profile == made.profile
        store.remove("tuned")
        assert not adapter.path.exists()

    def test_it_is_found_where_the_home_was_moved_to(
        self, store: Store, home: Path, tmp_path: Path
    ):
        digest = send(store, adapters.write_gguf(tmp_path / "a.gguf"))
        make(store, "tuned", base=pocket(store), sent_adapters={"a.gguf": digest})
        os.rename(home, tmp_path / "elsewhere")

        [adapter] = Store(tmp_path / "elsewhere", builtin=None).find("tuned").profile.adapters

        assert adapter.path.is_file()

    def test_what_is_no_adapter_is_refused(self, store: Store, tmp_path: Path):
        path = gguf_file(tmp_path)
        base = pocket(store)

        for recipe in (
            Recipe(base=base, sent_adapters={"a.gguf": send(store, path)}),
            Recipe(base=base, adapters=(Adapter(path),)),
        ):
            with pytest.raises(LoadFailed, match="is no LoRA adapter"):
                Creation(store, "tuned", recipe)
