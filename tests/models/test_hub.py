"""Pulling models, with Hugging Face's real client and a hub of our own."""

import shutil
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from huggingface_hub.utils import close_session

from models import builtin
from models.errors import DiskFull
from models.hub import Hub
from models.hub_errors import HubError, NothingSuitable, PullCancelled, PullFailed
from models.hub_files import RemoteFile, choose
from models.hub_progress import PullProgress
from models.hub_search import HubModel
from models.model import Kind
from models.quantization import quantization
from models.store import Store
from tests.hub_server import FakeHub, running

POCKET = builtin.FOLDER
MLX_FILES = [each for each in (POCKET / "mlx").iterdir() if each.is_file()]
GGUF = (POCKET / "gguf/pocket.gguf").read_bytes()
needs_mlx = pytest.mark.skipif(find_spec("mlx_lm") is None, reason="MLX is not on this computer")


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.repos["org/Tiny-GGUF"] = {
        "README.md": b"# Tiny",
        "tiny-F16.gguf": GGUF,
        "tiny-Q8_0.gguf": GGUF[:100_000],
    }
    hub.repos["org/tiny-mlx"] = {
        "README.md": b"# Tiny",
        "evil.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
        **{path.name: path.read_bytes() for path in MLX_FILES},
    }
    with running(hub):
        yield hub


@pytest.fixture
def store(inglenook_home: Path) -> Store:
    return Store(inglenook_home, builtin=POCKET)


@pytest.fixture
def hub(store: Store, fake: FakeHub) -> Hub:
    return Hub(store, fake.url)


def pull(hub: Hub, name: str, progress: list[PullProgress] | None = None):
    return hub.pull(name, (progress if progress is not None else []).append, threading.Event())


def own_models(store: Store) -> list[str]:
    return [str(model.name) for model in store.list() if not model.builtin]


def pull_until_stalled(hub: Hub, fake: FakeHub, name: str) -> BaseException | None:
    """Begin to pull, and cancel once something is here and the hub sends nothing any more."""
    cancelled, something = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def on_progress(progress: PullProgress) -> None:
        if progress.completed_bytes:
            something.set()

    def run() -> None:
        try:
            hub.pull(name, on_progress, cancelled)
        except PullCancelled as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert fake.stalled.wait(20)
    assert something.wait(20)
    cancelled.set()
    thread.join(20)
    assert not thread.is_alive()
    return errors[0] if errors else None


# -- What goes well ------------------------------------


def test_a_gguf_model_is_pulled_by_its_quantisation(hub: Hub, store: Store, fake: FakeHub):
    model = pull(hub, "hf.co/org/Tiny-GGUF:f16")

    assert own_models(store) == ["org/Tiny-GGUF:f16"]
    assert store.find("org/tiny-gguf:F16") == model
    assert model.kind is Kind.LLAMA
    assert model.path.read_bytes() == GGUF
    assert model.details.quantization == "F16"
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "pasted",
    [
        "https://huggingface.co/org/Tiny-GGUF:F16",
        "https://huggingface.co/org/Tiny-GGUF/blob/main/tiny-F16.gguf",
    ],
)
def test_a_model_is_pulled_by_the_address_of_its_page(hub: Hub, store: Store, pasted: str):
    model = pull(hub, pasted)

    assert model.path.read_bytes() == GGUF
    assert store.find(pasted) == model


def test_a_model_is_pulled_by_the_longest_name_that_the_hub_has(
    hub: Hub, store: Store, fake: FakeHub
):
    repo = "org/" + "r" * 96
    fake.repos[repo] = {"tiny-F16.gguf": GGUF}

    pull(hub, f"https://huggingface.co/{repo}/tree/main/")

    assert store.find(repo).path.read_bytes() == GGUF


@pytest.mark.parametrize("name", ["library/pocket", "registry.ollama.ai/library/pocket:latest"])
def test_what_ollama_calls_it_by_is_already_here(hub: Hub, fake: FakeHub, name: str):
    assert pull(hub, name).builtin
    assert not fake.requests


@needs_mlx
def test_an_mlx_model_comes_without_what_is_not_the_model(hub: Hub, store: Store):
    model = pull(hub, "org/tiny-mlx")

    assert model.kind is Kind.MLX
    assert {path.name for path in model.path.iterdir()} == {path.name for path in MLX_FILES}
    assert store.find("org/tiny-mlx") == model


def test_progress_is_told_from_the_first_byte_to_the_last(hub: Hub):
    progress: list[PullProgress] = []

    pull(hub, "org/Tiny-GGUF:F16", progress)

    statuses = list(dict.fromkeys(each.status for each in progress))
    assert statuses == [
        "pulling manifest",
        "pulling",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    pulling = [each for each in progress if each.status == "pulling"]
    assert pulling[0].completed_bytes == 0
    assert pulling[-1].completed_bytes == len(GGUF)
    assert [each.completed_bytes for each in pulling] == sorted(
        each.completed_bytes for each in pulling
    )
    assert {each.total_bytes for each in pulling} == {len(GGUF)}
    assert {each.file for each in pulling} == {"tiny-F16.gguf"}


@needs_mlx
def test_pulling_again_brings_only_what_has_changed(hub: Hub, store: Store, fake: FakeHub):
    first = pull(hub, "org/tiny-mlx")
    fake.requests.clear()

    assert pull(hub, "org/tiny-mlx").digest == first.digest
    assert not fake.requests

    fake.repos["org/tiny-mlx"]["tokenizer_config.json"] += b"\n"
    second = pull(hub, "org/tiny-mlx")

    assert [each.path.rpartition("/")[2] for each in fake.requests] == ["tokenizer_config.json"]
    assert second.digest != first.digest
    assert not first.path.exists()
    assert (second.path / "model.safetensors").exists()


def test_what_is_here_without_a_hub_is_not_asked_for(hub: Hub, fake: FakeHub):
    assert pull(hub, "pocket").builtin
    assert not fake.requests


# -- What breaks off -----------------------------------


def test_a_cut_connection_is_gone_on_from(hub: Hub, fake: FakeHub):
    fake.cut_after = [700_000]

    model = pull(hub, "org/Tiny-GGUF:F16")

    first, second = fake.downloads("tiny-F16.gguf")
    assert first.range is None
    assert second.range is not None
    resumed_at = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert 0 < resumed_at <= first.sent_bytes
    assert second.sent_bytes == len(GGUF) - resumed_at
    assert model.path.read_bytes() == GGUF


def test_a_pull_that_was_cancelled_leaves_nothing_and_is_gone_on_from(
    hub: Hub, store: Store, fake: FakeHub
):
    fake.stall_after = 500_000

    assert isinstance(pull_until_stalled(hub, fake, "org/Tiny-GGUF:F16"), PullCancelled)
    assert own_models(store) == []

    fake.go_on.set()
    fake.requests.clear()
    model = pull(hub, "org/Tiny-GGUF:F16")

    assert model.path.read_bytes() == GGUF
    assert fake.downloads("tiny-F16.gguf")[-1].range is not None
    assert fake.downloads("tiny-F16.gguf")[-1].sent_bytes < len(GGUF)


def test_an_older_version_is_not_gone_on_from(hub: Hub, fake: FakeHub):
    fake.stall_after = 500_000
    pull_until_stalled(hub, fake, "org/Tiny-GGUF:F16")
    fake.go_on.set()
    newer = GGUF[:-1] + bytes([GGUF[-1] ^ 1])
    fake.repos["org/Tiny-GGUF"]["tiny-F16.gguf"] = newer
    fake.requests.clear()

    model = pull(hub, "org/Tiny-GGUF:F16")

    assert fake.downloads("tiny-F16.gguf")[-1].range is None
    assert model.path.read_bytes() == newer


def test_a_pull_cancelled_before_it_begins_asks_for_nothing(hub: Hub, fake: FakeHub):
    cancelled = threading.Event()
    cancelled.set()

    with pytest.raises(PullCancelled):
        hub.pull("org/Tiny-GGUF:F16", lambda _: None, cancelled)

    assert not fake.requests


def test_a_damaged_file_is_refused_and_the_next_pull_mends_it(
    hub: Hub, store: Store, fake: FakeHub
):
    fake.damaged = {"tiny-F16.gguf"}

    with pytest.raises(PullFailed, match=r"tiny-F16\.gguf arrived damaged"):
        pull(hub, "org/Tiny-GGUF:F16")
    assert own_models(store) == []

    fake.damaged = set()
    assert pull(hub, "org/Tiny-GGUF:F16").path.read_bytes() == GGUF


@needs_mlx
def test_a_small_file_is_held_against_its_hash_too(hub: Hub, store: Store, fake: FakeHub):
    fake.damaged = {"config.json"}

    with pytest.raises(PullFailed, match=r"config\.json arrived damaged"):
        pull(hub, "org/tiny-mlx")

    assert own_models(store) == []


def test_what_is_no_model_is_not_listed(hub: Hub, store: Store):
    with pytest.raises(PullFailed, match="is cut short"):
        pull(hub, "org/Tiny-GGUF:Q8_0")

    assert own_models(store) == []


class Puller(threading.Thread):
    """Somebody who pulls; ``outcome`` is there when the thread has ended."""

    def __init__(self, hub: Hub, name: str = "org/Tiny-GGUF:F16") -> None:
        super().__init__()
        self._hub = hub
        self._wanted = name
        self.heard: list[PullProgress] = []
        self.hears = threading.Event()
        self.cancelled = threading.Event()
        self.outcome: object = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._hub.pull(self._wanted, self._hear, self.cancelled)
        except BaseException as error:
            self.outcome = error

    def _hear(self, progress: PullProgress) -> None:
        self.heard.append(progress)
        self.hears.set()


@pytest.fixture
def stalled(hub: Hub, fake: FakeHub) -> Iterator[Puller]:
    """Somebody whose download does not go on before ``go_on`` is set."""
    fake.stall_after = 500_000
    first = Puller(hub)
    assert fake.stalled.wait(20)
    yield first
    first.cancelled.set()
    first.join()


def joined(hub: Hub, name: str = "org/Tiny-GGUF:F16") -> Puller:
    puller = Puller(hub, name)
    assert puller.hears.wait(20)
    return puller


def test_who_pulls_what_is_on_its_way_has_a_share_in_it(
    hub: Hub, fake: FakeHub, store: Store, stalled: Puller
):
    second = joined(hub, "hf.co/ORG/tiny-gguf:f16")

    assert second.heard[0] in stalled.heard, "how far it is"
    fake.go_on.set()
    stalled.join()
    second.join()

    assert len(fake.downloads("tiny-F16.gguf")) == 1
    assert stalled.outcome == second.outcome == store.find("org/Tiny-GGUF:F16")
    assert stalled.heard[-len(second.heard) :] == second.heard
    assert second.heard[-1].status == "success"


@pytest.mark.parametrize("leaver", [0, 1])
def test_one_who_leaves_a_shared_pull_leaves_it_to_the_other(
    hub: Hub, fake: FakeHub, stalled: Puller, leaver: int
):
    both = [stalled, joined(hub)]
    leaving, staying = both[leaver], both[1 - leaver]

    leaving.cancelled.set()
    leaving.join()
    assert isinstance(leaving.outcome, PullCancelled)
    assert staying.is_alive()
    fake.go_on.set()
    staying.join()

    assert staying.heard[-1].status == "success"
    assert len(fake.downloads("tiny-F16.gguf")) == 1


def test_a_pull_that_all_have_left_can_be_begun_again_at_once(
    hub: Hub, fake: FakeHub, stalled: Puller
):
    stalled.cancelled.set()
    again = Puller(hub)
    stalled.join()
    fake.go_on.set()
    again.join()

    assert isinstance(stalled.outcome, PullCancelled) or again.heard
    assert again.heard[-1].status == "success"


def test_what_fails_fails_for_all_who_share_it(hub: Hub, fake: FakeHub):
    fake.damaged.add("tiny-F16.gguf")
    fake.stall_after = 500_000
    first, second = joined(hub), joined(hub)
    assert fake.stalled.wait(20)
    fake.go_on.set()
    first.join()
    second.join()

    assert isinstance(first.outcome, PullFailed)
    assert str(second.outcome) == str(first.outcome)


def test_two_programs_do_not_pull_the_same_model_at_once(
    hub: Hub, fake: FakeHub, store: Store, stalled: Puller
):
    with pytest.raises(PullFailed, match="is being downloaded already"):
        pull(Hub(store, fake.url), "org/Tiny-GGUF:F16")


def test_a_full_disk_is_told_before_anything_is_fetched(
    hub: Hub, fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    with pytest.raises(DiskFull, match="The disk is too full"):
        pull(hub, "org/Tiny-GGUF:F16")

    assert not fake.requests


# -- What the hub refuses ------------------------------


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "RepoNotFound", "has no model org/tiny-mlx, or it is private"),
        (401, "", "does not let you have org/tiny-mlx"),
        (403, "GatedRepo", "open only to those who accept its conditions"),
        (403, "", "does not let you have org/tiny-mlx"),
        (429, "", "too many requests"),
        (400, "", "cannot answer now"),
    ],
)
@needs_mlx
def test_a_refusal_is_one_sentence(hub: Hub, fake: FakeHub, status: int, code: str, sentence: str):
    fake.refusals["org/tiny-mlx"] = (status, code)

    with pytest.raises(PullFailed, match=sentence) as caught:
        pull(hub, "org/tiny-mlx")

    assert "\n" not in str(caught.value)


def test_a_repository_that_is_not_there_is_told(hub: Hub):
    with pytest.raises(PullFailed, match="The hub has no model org/nothing"):
        pull(hub, "org/nothing")


def test_a_name_that_names_no_repository_is_told(hub: Hub):
    with pytest.raises(PullFailed, match="write 'org/model'"):
        pull(hub, "llama3.2")


def test_a_quantisation_that_is_not_there_is_told_with_those_that_are(hub: Hub):
    with pytest.raises(PullFailed, match=r"has no 'Q2_K'\. There is: F16, Q8_0\."):
        pull(hub, "org/Tiny-GGUF:Q2_K")


def test_a_hub_that_cannot_be_reached_is_told(store: Store):
    hub = Hub(store, "http://127.0.0.1:9")

    with pytest.raises(PullFailed, match="cannot be reached"):
        pull(hub, "org/model")
    with pytest.raises(HubError, match="cannot be reached"):
        hub.search("model")


# -- Proxies -------------------------------------------


@pytest.fixture
def new_session() -> Iterator[None]:
    """The client of huggingface_hub reads the environment once, when it is made."""
    close_session()
    yield
    close_session()


@pytest.mark.parametrize(
    "address",
    [
        "socks4://127.0.0.1:1080",
        "ftp://127.0.0.1:21",
        "http://127.0.0.1:many",
        "http://[::1",
        "://",
        "http://proxy\x01:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told(
    hub: Hub, new_session: None, monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("all_proxy", address)

    with pytest.raises(HubError, match="The proxy that all_proxy names cannot be used"):
        hub.search("tiny")
    with pytest.raises(PullFailed, match="The proxy that all_proxy names cannot be used"):
        pull(hub, "org/Tiny-GGUF:F16")


def test_a_proxy_that_does_not_answer_is_named(
    hub: Hub, new_session: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    with pytest.raises(HubError, match="check the connection and the proxy that HTTP_PROXY names"):
        hub.search("tiny")


def test_a_proxy_that_is_not_asked_may_have_any_address(
    hub: Hub, new_session: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:1080")
    monkeypatch.setenv("NO_PROXY", "*")

    assert hub.search("tiny")


def test_a_token_that_is_none_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "tökén")

    with pytest.raises(PullFailed, match="HF_TOKEN is not a token"):
        pull(hub, "org/Tiny-GGUF:F16")


def test_an_address_of_the_hub_that_is_none_is_told(store: Store):
    with pytest.raises(HubError, match="HF_ENDPOINT is not an address"):
        Hub(store, "http://[::1").search("tiny")


# -- Searching -----------------------------------------


def test_a_search_finds_what_runs_here(hub: Hub, fake: FakeHub):
    found = {model.repo: model for model in hub.search("TINY")}

    assert found["org/Tiny-GGUF"] == HubModel("org/Tiny-GGUF", Kind.LLAMA, 7, 3, None)
    if find_spec("mlx_lm") is not None:
        assert found["org/tiny-mlx"] == HubModel("org/tiny-mlx", Kind.MLX, 7, 3, 2 * 970_368)
    assert hub.search("nothing like it") == []


# -- Which files ---------------------------------------


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("Qwen3-4B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("tiny-1m-F16.gguf", "F16"),
        ("gemma-3-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("x-IQ2_XXS.gguf", "IQ2_XXS"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("x-BF16-00001-of-00002.gguf", "BF16"),
        ("Q5_K_S/model-00001-of-00003.gguf", "Q5_K_S"),
        ("stories260K.gguf", "stories260K"),
    ],
)
def test_a_file_is_known_by_its_quantisation(path: str, label: str):
    assert quantization(path) == label


def test_what_reads_pictures_for_a_model_is_pulled_with_it(
    hub: Hub, fake: FakeHub, store: Store, testdata: Path
):
    folder = testdata / "models/tinychat"
    names = ("tinychat-1m-F16.gguf", "mmproj-tiny-random-F32.gguf")
    fake.repos["org/eyes-GGUF"] = {each: (folder / each).read_bytes() for each in names}

    pull(hub, "org/eyes-GGUF")
    model = store.find("org/eyes-GGUF")

    assert model.details.vision
    assert (model.files.main, model.files.projector) == names
    assert model.size_bytes == sum((folder / each).stat().st_size for each in names)
    store.copy("org/eyes-GGUF", "copied")
    store.remove("org/eyes-GGUF")
    assert store.find("copied").details.vision
    store.remove("copied")
    assert not model.files.folder.exists()


def remote(*paths: str) -> list[RemoteFile]:
    return [RemoteFile(path, 1000 + len(path), "0" * 64, None) for path in paths]


@pytest.mark.parametrize(
    ("paths", "tag", "chosen"),
    [
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-Q4_0.gguf"], "latest", ["a-Q4_K_M.gguf"]),
        (["a-Q8_0.gguf", "a-Q4_0.gguf"], "latest", ["a-Q4_0.gguf"]),
        (["a-F16.gguf", "a-Q8_0.gguf"], "latest", ["a-Q8_0.gguf"]),
        (["a-BF16.gguf", "a-F32.gguf"], "latest", ["a-F32.gguf"]),  # the smallest
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "q8_0", ["a-Q8_0.gguf"]),
        (["a.gguf", "b.gguf"], "b", ["b.gguf"]),
        (["mmproj-Q4_K_M.gguf", "a-Q8_0.gguf"], "latest", ["a-Q8_0.gguf", "mmproj-Q4_K_M.gguf"]),
        (
            ["mmproj-F32.gguf", "a-mmproj-f16.gguf", "other/mmproj-F16.gguf", "a-Q8_0.gguf"],
            "latest",
            ["a-Q8_0.gguf", "a-mmproj-f16.gguf"],
        ),
        (["Q8_0/a.gguf", "mmproj-F16.gguf"], "latest", ["Q8_0/a.gguf", "mmproj-F16.gguf"]),
        (
            ["Q4_K_M/a-00002-of-00002.gguf", "Q4_K_M/a-00001-of-00002.gguf"],
            "latest",
            ["Q4_K_M/a-00001-of-00002.gguf", "Q4_K_M/a-00002-of-00002.gguf"],
        ),
    ],
)
def test_a_good_file_is_chosen(paths: list[str], tag: str, chosen: list[str]):
    choice = choose("org/repo", remote(*paths), tag)

    assert [file.path for file in choice.files] == chosen
    assert choice.main_file == chosen[0].rpartition("/")[2]


@pytest.mark.parametrize(
    ("paths", "tag"),
    [
        (["pytorch_model.bin", "config.json"], "latest"),
        ([], "latest"),
        (["config.json", "model.safetensors"], "Q4_K_M"),
        (["..\\..\\a-Q4_K_M.gguf"], "latest"),
        (["config.json", "../model.safetensors"], "latest"),
    ],
)
def test_a_repository_without_a_model_for_us_is_refused(paths: list[str], tag: str):
    with pytest.raises(NothingSuitable, match="org/repo has"):
        choose("org/repo", remote(*paths), tag)
