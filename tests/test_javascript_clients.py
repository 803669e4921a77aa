"""The clients of npm that people use, against the real server and the model that ships with it."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.node import JAVASCRIPT, needs_javascript, run_node

ANSWER = "2 + 2 = 4."
SECONDS = 50
COMMON: dict[str, Any] = {
    "chat": ANSWER,
    "stream": ANSWER,
    "tool": ["get_weather", {"city": "Paris"}],
    "missing": [True, 404],
}
STRUCTURED = {"structured": {"operation": "plus", "result": 4}}
TOLD: dict[str, dict[str, Any]] = {
    "openai": COMMON
    | STRUCTURED
    | {f"responses_{step}": COMMON[step] for step in ("chat", "stream", "tool")},
    "ollama": COMMON | STRUCTURED | {"generate": ANSWER},
    "anthropic": COMMON | {"after_tool": "end_turn", "counted": True},
}

pytestmark = needs_javascript


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Return what a client was answered: its program is run once."""
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        services.settings.change(context_length=2048)
        server = api_server(services, "127.0.0.1", [0])
        server.start()

        @cache
        def told(client: str) -> dict[str, Any]:
            source = (JAVASCRIPT / f"{client}.mjs").read_text(encoding="utf-8")
            url = f"http://127.0.0.1:{server.ports[0]}"
            code, output, complaints = run_node(source, url, folder=JAVASCRIPT, timeout=SECONDS)
            assert code == 0, complaints
            return json.loads(output)

        yield told
        server.stop()


@pytest.mark.parametrize(
    ("client", "step"), [(client, step) for client, steps in TOLD.items() for step in steps]
)
def test_it_gets_what_it_asked_for(
    told: Callable[[str], dict[str, Any]], client: str, step: str
) -> None:
    assert told(client)[step] == TOLD[client][step]
