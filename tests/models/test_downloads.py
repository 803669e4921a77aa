"""The queue of downloads, with the real client and a hub of our own."""

import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import resources
from models import atomic
from models.download_states import (
    Cancelled,
    Dismissed,
    Done,
    Download,
    Failed,
    Queued,
    Running,
    State,
)
from models.downloads import Downloads
from models.errors import InvalidModelName
from models.hub import Hub
from models.hub_errors import PullCancelled
from models.hub_links import model_at
from models.hub_progress import PullProgress
from models.store import Store
from tests.hub_server import FakeHub, running

REPOSITORY = Path(__file__).resolve().parent.parent.parent
GGUF = (Path(resources.__file__).with_name("pocket") / "gguf/pocket.gguf").read_bytes()
SECONDS = 20
TINY, OTHER = "org/tiny-GGUF:F16", "org/other-GGUF"


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.repos["org/tiny-GGUF"] = {"tiny-F16.gguf": GGUF}
    hub.repos["org/other-GGUF"] = {"other-F16.gguf": GGUF}
    with running(hub):
        yield hub


@pytest.fixture
def path(inglenook_home: Path) -> Path:
    return inglenook_home / "downloads.json"


@pytest.fixture
def store(inglenook_home: Path) -> Store:
    return Store(inglenook_home, builtin=None)


@pytest.fixture
def opened(store: Store, fake: FakeHub, path: Path) -> Iterator[Callable[[], Downloads]]:
    """Opens the downloads as a program does when it starts."""
    all_of_them: list[Downloads] = []

    def open_downloads() -> Downloads:
        all_of_them.append(Downloads(Hub(store, fake.url), path))
        return all_of_them[-1]

    yield open_downloads
    for each in all_of_them:
        each.close()


class Watcher:
    """Hears of everything, and can be asked for what comes next of a kind."""

    def __init__(self, downloads: Downloads) -> None:
        self.heard: list[Download] = []
        self._new: queue.SimpleQueue[Download] = queue.SimpleQueue()
        self.stop = downloads.watch(self._new.put)

    def until(self, kind: type[State], name: str = "") -> Download:
        while True:
            self.heard.append(download := self._new.get(timeout=SECONDS))
            if isinstance(download.state, kind) and name in ("", download.name):
                return download

    def until_some_is_here(self) -> None:
        """Wait for the first bytes: what is cancelled before has nothing to go on from."""
        while True:
            state = self.until(Running).state
            if isinstance(state, Running) and state.progress.completed_bytes:
                return

    def kinds(self, name: str) -> list[str]:
        """Return what was heard of one, without repetitions."""
        said = [type(each.state).__name__ for each in self.heard if each.name == name]
        return [kind for kind, before in zip(said, ["", *said], strict=False) if kind != before]


def kept(path: Path) -> dict[str, str]:
    saved = json.loads(path.read_bytes())
    return {each["name"]: each["state"] for each in saved["downloads"]}


def test_models_come_one_after_another(opened, fake: FakeHub, store: Store):
    fake.stall_after = 500_000
    downloads = opened()
    watcher = Watcher(downloads)

    downloads.start(TINY)
    downloads.start(OTHER)
    assert fake.stalled.wait(SECONDS)

    assert [each.name for each in downloads.states()] == [TINY, OTHER]
    assert downloads.states()[1].state == Queued()
    assert len(fake.requests) == 1

    fake.go_on.set()
    watcher.until(Done, OTHER)
    assert watcher.kinds(TINY) == ["Queued", "Running", "Done"]
    assert watcher.kinds(OTHER) == ["Queued", "Running", "Done"]
    assert downloads.states() == ()
    assert {str(model.name) for model in store.list()} == {TINY, f"{OTHER}:latest"}


def test_progress_is_told_in_the_words_of_ollama(opened):
    downloads = opened()
    watcher = Watcher(downloads)

    downloads.start(TINY)
    watcher.until(Done)

    progress = [each.state.progress for each in watcher.heard if isinstance(each.state, Running)]
    assert list(dict.fromkeys(each.status for each in progress)) == [
        "",  # its turn has come
        "pulling manifest",
        "pulling",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert progress[-1].completed_bytes == progress[-1].total_bytes == len(GGUF)


def test_what_was_stopped_can_be_resumed(opened, fake: FakeHub):
    fake.stall_after = 500_000
    downloads = opened()
    watcher = Watcher(downloads)
    downloads.start(TINY)
    assert fake.stalled.wait(SECONDS)
    watcher.until_some_is_here()

    downloads.cancel(TINY)
    watcher.until(Cancelled)
    assert watcher.kinds(TINY) == ["Queued", "Running", "Cancelling", "Cancelled"]
    assert downloads.states() == (Download(TINY, Cancelled()),)

    fake.go_on.set()
    downloads.start(TINY)
    watcher.until(Done)
    assert fake.downloads("tiny-F16.gguf")[-1].range is not None


def test_what_stops_does_not_seem_to_run_again(path: Path):
    class Slow:
        def pull(self, name, on_progress, cancelled):
            on_progress(PullProgress("pulling", "a.gguf", 1, 2))
            cancelled.wait(SECONDS)
            on_progress(PullProgress("pulling", "a.gguf", 2, 2))
            raise PullCancelled

    downloads = Downloads(Slow(), path)
    watcher = Watcher(downloads)
    downloads.start(TINY)
    watcher.until_some_is_here()

    downloads.cancel(TINY)

    watcher.until(Cancelled)
    assert watcher.kinds(TINY) == ["Queued", "Running", "Cancelling", "Cancelled"]
    downloads.close()


def test_what_waits_can_be_stopped_and_is_never_asked_for(opened, fake: FakeHub):
    fake.stall_after = 500_000
    downloads = opened()
    watcher = Watcher(downloads)
    downloads.start(TINY)
    downloads.start(OTHER)
    assert fake.stalled.wait(SECONDS)

    downloads.cancel(OTHER.upper())
    assert downloads.states()[1] == Download(OTHER, Cancelled())
    fake.go_on.set()

    watcher.until(Done, TINY)
    downloads.start("org/nothing")  # would come after it
    watcher.until(Failed)
    assert not fake.downloads("other-F16.gguf")


def test_a_failure_is_a_sentence_and_the_next_in_the_queue_comes(opened, fake: FakeHub):
    downloads = opened()
    watcher = Watcher(downloads)

    downloads.start("org/nothing")
    downloads.start(TINY)
    failed = watcher.until(Failed).state
    watcher.until(Done, TINY)

    assert isinstance(failed, Failed)
    assert failed.sentence.startswith("The hub has no model org/nothing")
    fake.repos["org/nothing"] = {"nothing-F16.gguf": GGUF}
    downloads.start("org/nothing")
    watcher.until(Done, "org/nothing")


def test_a_bug_is_a_sentence_too(path: Path, caplog: pytest.LogCaptureFixture):
    class Broken:
        def pull(self, name, on_progress, cancelled):
            raise ZeroDivisionError

    downloads = Downloads(Broken(), path)
    watcher = Watcher(downloads)
    downloads.start(TINY)

    assert watcher.until(Failed).state == Failed("The download failed unexpectedly: see the log.")
    assert "ZeroDivisionError" in caplog.text
    downloads.close()


def test_one_model_is_asked_for_once_however_it_is_spelled(opened, fake: FakeHub):
    fake.stall_after = 500_000
    downloads = opened()

    downloads.start(TINY)
    assert fake.stalled.wait(SECONDS)
    downloads.start("hf.co/ORG/tiny-gguf:f16")
    downloads.start("https://huggingface.co/org/tiny-GGUF/blob/main/tiny-F16.gguf")

    assert [each.name for each in downloads.states()] == [TINY]


def test_what_cannot_be_a_name_is_refused_at_once(opened):
    with pytest.raises(InvalidModelName):
        opened().start("not a name")


def test_what_ended_badly_can_be_dismissed(opened, path: Path):
    downloads = opened()
    watcher = Watcher(downloads)
    downloads.start("org/nothing")
    watcher.until(Failed)

    downloads.dismiss("org/nothing")

    assert watcher.until(Dismissed).name == "org/nothing"
    assert downloads.states() == ()
    downloads.close()
    assert kept(path) == {}


def test_what_runs_is_not_dismissed(opened, fake: FakeHub):
    fake.stall_after = 500_000
    downloads = opened()
    downloads.start(TINY)
    assert fake.stalled.wait(SECONDS)

    downloads.dismiss(TINY)

    assert [each.name for each in downloads.states()] == [TINY]


# -- From one run to the next --------------------------


def test_a_program_that_is_closed_goes_on_when_it_is_opened_next(opened, fake: FakeHub, path: Path):
    fake.stall_after = 500_000
    first = opened()
    watcher = Watcher(first)
    first.start(TINY)
    first.start(OTHER)
    assert fake.stalled.wait(SECONDS)
    watcher.until_some_is_here()
    first.close()
    assert kept(path) == {TINY: "queued", OTHER: "queued"}

    fake.go_on.set()
    second = opened()
    assert second.states() == (Download(TINY, Queued()), Download(OTHER, Queued()))
    watcher = Watcher(second)
    second.resume()

    watcher.until(Done, OTHER)
    assert fake.downloads("tiny-F16.gguf")[-1].range is not None
    second.close()
    assert kept(path) == {}


def test_a_program_that_is_killed_goes_on_when_it_is_opened_next(
    opened, fake: FakeHub, inglenook_home: Path, path: Path
):
    fake.stall_after = 500_000
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from models.downloads import Downloads; from models.hub import Hub\n"
        "from models.store import Store\n"
        "home, url, name = sys.argv[1:]\n"
        "hub = Hub(Store(Path(home), builtin=None), url)\n"
        "Downloads(hub, Path(home) / 'downloads.json').start(name)\n"
        "threading.Event().wait()\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, str(inglenook_home), fake.url, TINY], cwd=REPOSITORY
    )
    try:
        assert fake.stalled.wait(SECONDS)
    finally:
        killed.kill()
        killed.wait()

    fake.go_on.set()
    downloads = opened()
    assert downloads.states() == (Download(TINY, Queued()),)
    watcher = Watcher(downloads)
    downloads.resume()
    watcher.until(Done)


def test_what_was_stopped_or_failed_stays_so(opened, fake: FakeHub):
    fake.stall_after = 500_000
    first = opened()
    watcher = Watcher(first)
    first.start("org/nothing")
    failed = watcher.until(Failed)
    first.start(TINY)
    assert fake.stalled.wait(SECONDS)
    first.cancel(TINY)
    first.close()  # before it has let go, perhaps

    fake.go_on.set()
    second = opened()
    watcher = Watcher(second)
    second.resume()
    second.start(OTHER)  # would come after them
    watcher.until(Done, OTHER)

    assert second.states() == (failed, Download(TINY, Cancelled()))


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"[]",
        b"{}",
        b'{"downloads": 3}',
        b'{"downloads": [3]}',
        b'{"downloads": [{"name": 3}]}',
        b'{"downloads": [{"name": "a b"}]}',
        b"\xff",
    ],
)
def test_a_list_that_cannot_be_understood_is_no_obstacle(opened, path: Path, found: bytes, caplog):
    path.parent.mkdir()
    path.write_bytes(found)

    downloads = opened()

    assert downloads.states() == ()
    assert "could not be read" in caplog.text


def test_the_list_of_a_newer_version_is_read_as_far_as_it_goes(opened, path: Path):
    path.parent.mkdir()
    newer = {"version": 9, "downloads": [{"name": TINY, "state": "paused", "rate": 3}]}
    path.write_text(json.dumps(newer))

    assert opened().states() == (Download(TINY, Queued()),)


def test_of_two_programs_in_one_home_the_first_keeps_the_list(opened, fake: FakeHub, path: Path):
    fake.stall_after = 500_000
    first = opened()
    first.start(TINY)
    assert fake.stalled.wait(SECONDS)

    second = opened()
    assert second.states() == ()
    watcher = Watcher(second)
    second.start(TINY)
    failed = watcher.until(Failed).state
    assert isinstance(failed, Failed)
    assert failed.sentence == f"{TINY} is being downloaded already."

    second.close()
    first.close()
    assert kept(path) == {TINY: "queued"}


def test_where_nothing_can_be_written_the_list_is_not_kept(tmp_path: Path):
    (tmp_path / "home").write_text("This is a file.")
    release = threading.Event()

    class Waiting:
        def pull(self, name, on_progress, cancelled):
            release.wait(SECONDS)
            raise InvalidModelName("x")

    downloads = Downloads(Waiting(), tmp_path / "home/downloads.json")
    watcher = Watcher(downloads)
    downloads.start(TINY)
    release.set()

    watcher.until(Failed)
    downloads.close()


# -- Who watches ---------------------------------------


def test_a_watcher_that_fails_is_its_own_trouble(opened, caplog: pytest.LogCaptureFixture):
    downloads = opened()

    def broken(download: Download) -> None:
        raise RuntimeError("gone")

    downloads.watch(broken)
    watcher = Watcher(downloads)
    with caplog.at_level(logging.CRITICAL):
        downloads.start(TINY)
        watcher.until(Done)


def test_who_stops_watching_hears_no_more(opened):
    downloads = opened()
    watcher, other = Watcher(downloads), Watcher(downloads)
    watcher.stop()
    watcher.stop()  # harmless

    downloads.start(TINY)
    other.until(Done)

    with pytest.raises(queue.Empty):
        watcher._new.get_nowait()


def test_nobody_waits_for_the_disk(opened, monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()
    write = atomic.write

    def slow(path: Path, data: bytes) -> None:
        if path.name == "downloads.json":
            release.wait(SECONDS)
        write(path, data)

    monkeypatch.setattr(atomic, "write", slow)
    downloads = opened()
    watcher = Watcher(downloads)
    try:
        downloads.start(TINY)
        watcher.until(Done)
        assert not release.is_set()
    finally:
        release.set()


# -- Links ---------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "model"),
    [
        ("https://huggingface.co/org/repo", "org/repo"),
        (" https://huggingface.co/org/repo/ ", "org/repo"),
        ("HTTPS://HuggingFace.co/org/repo/tree/main", "org/repo"),
        ("http://www.huggingface.co/org/repo?library=mlx#files", "org/repo"),
        ("https://hf.co/org/repo:Q8_0", "org/repo:Q8_0"),
        ("https://huggingface.co/org/repo/blob/main/sub/x-Q4_K_M.gguf", "org/repo:Q4_K_M"),
        ("https://huggingface.co/org/repo/resolve/main/x.gguf?download=true", "org/repo:x"),
        ("https://huggingface.co/org/repo/blob/main/README.md", "org/repo"),
        ("https://huggingface.co/org", "https://huggingface.co/org"),
        ("https://example.com/org/repo", "https://example.com/org/repo"),
        ("https://[::1", "https://[::1"),
        ("org/repo:Q8_0", "org/repo:Q8_0"),
        ("hf.co/org/repo", "hf.co/org/repo"),
    ],
)
def test_a_link_to_the_hub_is_understood(pasted: str, model: str):
    assert model_at(pasted) == model
