"""What Ollama really answered, held against our server: the exchanges that are in scope by now.

The recordings and the comparer lie beside the test data, and are described there.
"""

import json
import shutil
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.conftest import TESTDATA

FOLDER = TESTDATA.parent / "reference/ollama-golden"
TINYCHAT = TESTDATA / "models/tinychat/tinychat-1m-F16.gguf"
MINILM = TESTDATA / "models/all-MiniLM-L6-v2-Q8_0.gguf"
CONTEXT_LENGTH = 2048  # what the recordings were made with

#: Where our answer says more than the recorded one (docs/decisions/host-names.md): its status.
BETTER = {"general.host_evil": 403}


def load_comparer() -> ModuleType | None:
    spec = spec_from_file_location("ollama_golden", FOLDER / "golden.py")
    if spec is None or spec.loader is None or not (FOLDER / "golden.py").is_file():
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


golden: Any = load_comparer()
deviations = json.loads((FOLDER / "deviations.json").read_text()) if golden else {}
recorded = {each["name"]: each for each in golden.exchanges(golden.GROUPS)} if golden else {}

pytestmark = pytest.mark.skipif(
    golden is None or not TINYCHAT.is_file(),
    reason=f"No recordings at {FOLDER}: set INGLENOOK_TESTDATA to the test data beside them",
)


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive an exchange: the fixture below ends them."""


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that has its models, and the one that ships with the program."""
    home = tmp_path_factory.mktemp("golden")
    with open_everything(home) as services:
        services.settings.change(context_length=CONTEXT_LENGTH)
        # In a folder without the projector that lets its other one see.
        alone = shutil.copyfile(TINYCHAT, home / TINYCHAT.name)
        services.store.import_path(Path(alone), "tinychat")
        services.store.import_path(TINYCHAT, "tinyvision")
        services.store.import_path(MINILM, "minilm")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield f"http://127.0.0.1:{server.ports[0]}"
        server.stop()


def tell_as_ollama(value: Any) -> None:
    """Ollama's responses are never stored, and nothing of them is ever found in a cache: ours
    are and is, and say so (docs/decisions/responses.md)."""
    match value:
        case {"object": "response", "store": True}:
            value["store"] = False
            if usage := value["usage"]:
                usage["input_tokens_details"]["cached_tokens"] = 0
        case {"events": list(events)}:
            for each in events:
                match each["data"]:
                    case {"response": dict(body)}:
                        tell_as_ollama(body)
                    case _:
                        pass
        case {"json": dict(body)}:
            tell_as_ollama(body)
        case _:
            pass


# In the order in which they were recorded: what one loads, the next finds loaded.
@pytest.mark.parametrize("name", list(recorded))
def test_an_exchange_is_as_recorded(name: str, server_url: str) -> None:
    exchange = recorded[name]

    got = golden.send(server_url, exchange["request"])
    tell_as_ollama(got)

    if name in BETTER:
        assert got["status"] == BETTER[name]
        assert got["json"]["error"]
    elif name in deviations:
        assert got["status"] in deviations[name]["status"], deviations[name]["why"]
    else:
        assert list(golden.compare(exchange, got)) == []
