"""What every test stands on: the test data, a home of its own, and no thread left behind."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

# Read when Qt, MLX and huggingface_hub are imported, so set before any of them is.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MLX_DISABLE_COMPILE", "1")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest

from models.records.records import Records
from server.ports import listen

REPOSITORY = Path(__file__).resolve().parent.parent
TESTDATA = Path(os.environ.get("INGLENOOK_TESTDATA", REPOSITORY.parent / "shared/testdata"))

SECONDS_TO_END = 5.0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What thousands of tests are made of is no garbage: nobody who collects looks at it."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest goes first: at the end one of two processes would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


@pytest.fixture
def testdata() -> Path:
    """The folder of real tokenizers, tiny models and published schemas."""
    if not TESTDATA.is_dir():
        pytest.skip(f"No test data at {TESTDATA}: set INGLENOOK_TESTDATA to the folder that has it")
    return TESTDATA


def free_port() -> int:
    """Return a port of this computer that nobody listens on, by either of its addresses."""
    (listener, *others) = listen("127.0.0.1", [0])
    port: int = listener.getsockname()[1]
    for each in (listener, *others):
        each.close()
    return port


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for each test: ``tmp_path`` looks at all that there are before it makes one."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def inglenook_home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything the program writes goes here."""
    folder = next(homes)
    folder.mkdir()
    home = folder / "inglenook-home"
    monkeypatch.setenv("INGLENOOK_HOME", str(home))
    # Nobody's own models, tokens or proxies decide whether a test passes.
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    for name in (
        "HF_TOKEN",
        "HF_ENDPOINT",
        "INGLENOOK_HOSTS",
        "OLLAMA_HOST",
        "OLLAMA_ORIGINS",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return home


@pytest.fixture
def records(inglenook_home: Path) -> Iterator[Records]:
    opened = Records(inglenook_home)
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def only_new_objects_may_be_garbage() -> Iterator[None]:
    """What a file of tests has imported and keeps need not be looked at in the next."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """A test that leaves a thread running would fail some other test, far away."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + SECONDS_TO_END
    left: list[threading.Thread] = []
    for thread in set(threading.enumerate()) - before:
        if type(thread).__name__ == "_DummyThread":
            continue  # stands for a thread of Qt's or MLX's own, and cannot be joined
        while thread.ident is None:  # another thread is just starting it
            time.sleep(0.001)
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            left.append(thread)
    assert not left, f"threads still running after the test: {[thread.name for thread in left]}"
