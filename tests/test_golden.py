"""What Ollama really answered, held against our server: the exchanges that are in scope by now.

The recordings and the comparer lie beside the test data, and are described there.
"""

import json
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.conftest import TESTDATA

FOLDER = TESTDATA.parent / "reference/ollama-golden"
TINYCHAT = TESTDATA / "models/tinychat/tinychat-1m-F16.gguf"
MINILM = TESTDATA / "models/all-MiniLM-L6-v2-Q8_0.gguf"
CONTEXT_LENGTH = 2048  # what the recordings were made with

#: Groups of which nothing is there yet.
LATER_GROUPS = {
    "responses": "OpenAI's responses",
}
#: Exchanges of the other groups that need what is not there yet.
LATER = {
    "vision": {
        "facts.show_vision",
        "generate.image_vision_model",
        "chat.image",
        "chat.image_not_a_picture",
        "v1.image",
        "v1.image_remote_url",
        "v1.image_text",
        "messages.image",
    },
    "embeddings": {
        "v1.embeddings",
        "v1.embeddings_list",
        "v1.embeddings_base64",
        "v1.embeddings_dimensions",
        "v1.embeddings_empty",
        "v1.embeddings_no_input",
        "v1.embeddings_format_bad",
        "v1.embeddings_missing_model",
    },
    "schema": {
        "v1.json_object",
        "v1.json_schema",
    },
    "tools": {
        "chat.tools_stream",
        "chat.tools_whole",
        "chat.tools_none_fits",
        "chat.tool_result",
        "chat.tool_arguments_text",
        "v1.tools",
        "v1.tools_stream",
        "v1.tool_result",
        "messages.tools",
        "messages.tools_stream",
        "messages.tool_result",
    },
    "logprobs": {
        "v1.logprobs",
    },
    "completions": {
        "v1.completions",
        "v1.completions_stream",
        "v1.completions_stream_usage",
        "v1.completions_suffix",
        "v1.completions_stop",
        "v1.completions_missing_model",
        "v1.completions_list",
    },
}
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
groups = [group for group in golden.GROUPS if group not in LATER_GROUPS] if golden else []
recorded = {each["name"]: each for each in golden.exchanges(groups)} if golden else {}
later = {name for names in LATER.values() for name in names}

pytestmark = pytest.mark.skipif(
    golden is None or not TINYCHAT.is_file(),
    reason=f"No recordings at {FOLDER}: set INGLENOOK_TESTDATA to the test data beside them",
)


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive an exchange: the fixture below ends them."""


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that has two of its models, and the one that ships with the program."""
    home = tmp_path_factory.mktemp("golden")
    with open_everything(home) as services:
        services.settings.change(context_length=CONTEXT_LENGTH)
        services.store.import_path(TINYCHAT, "tinychat")
        services.store.import_path(MINILM, "minilm")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield f"http://127.0.0.1:{server.ports[0]}"
        server.stop()


def test_every_exclusion_names_a_recording() -> None:
    assert later <= recorded.keys()
    assert set(LATER_GROUPS) <= set(golden.GROUPS)


def count_as_ollama(value: Any) -> None:
    """Put the cached tokens among the ``input_tokens``, where Anthropic's own API counts them
    beside those, and so do we."""
    match value:
        case {"input_tokens": int(), "cache_read_input_tokens": int(cached)}:
            value["input_tokens"] += cached
        case dict():
            for each in value.values():
                count_as_ollama(each)
        case list():
            for each in value:
                count_as_ollama(each)
        case _:
            pass


# In the order in which they were recorded: what one loads, the next finds loaded.
@pytest.mark.parametrize("name", [name for name in recorded if name not in later])
def test_an_exchange_is_as_recorded(name: str, server_url: str) -> None:
    exchange = recorded[name]

    got = golden.send(server_url, exchange["request"])
    count_as_ollama(got)

    if name in BETTER:
        assert got["status"] == BETTER[name]
        assert got["json"]["error"]
    elif name in deviations:
        assert got["status"] in deviations[name]["status"], deviations[name]["why"]
    else:
        assert list(golden.compare(exchange, got)) == []
