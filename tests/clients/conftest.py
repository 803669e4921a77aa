"""One real server for all clients, and their answers: each program is run once."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.services import api_server, open_everything
from tests.conftest import REPOSITORY, TESTDATA
from tests.node import NODE

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENTS = REPOSITORY / ".venv-clients"
MINILM = TESTDATA / "models/all-MiniLM-L6-v2-Q8_0.gguf"
EMBEDDER = ["--embedder"] if MINILM.is_file() else []
SECONDS = 58

Answers = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        services.settings.change(context_length=2048)
        services.store.copy("pocket", "codellama")
        if EMBEDDER:
            services.store.import_path(MINILM, "all-minilm")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield f"http://127.0.0.1:{server.ports[0]}"
        server.stop()


@pytest.fixture(scope="session")
def run(url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return what a command says, which is run in a home of its own, far from any network."""
    home = tmp_path_factory.mktemp("client")

    def run(*command: str | Path, stdin: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=home,
            env=os.environ | _surroundings(home, url),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _surroundings(home: Path, url: str) -> dict[str, str]:
    return {
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LLM_USER_PATH": str(home),
        "OLLAMA_HOST": url,
        "ANONYMIZED_TELEMETRY": "false",
        "AI_SDK_LOG_WARNINGS": "false",
    }


def python_of(environment: str) -> Path:
    """The Python of one of the locks beside this file."""
    python = ENVIRONMENTS / environment / "bin/python"
    assert python.is_file(), "`make clients` installs what is tested here"
    return python


@pytest.fixture(scope="session")
def answers(url: str, run: Callable[..., str]) -> Answers:
    """Return what a client of Python was answered."""

    @cache
    def answers(client: str, environment: str, *arguments: str) -> dict[str, Any]:
        program = PROGRAMS / f"with_{client}.py"
        told = run(python_of(environment), program, url, *arguments, *EMBEDDER)
        return json.loads(told.splitlines()[-1])

    return answers


@pytest.fixture(scope="session")
def ai_sdk(url: str, run: Callable[..., str]) -> dict[str, Any]:
    told = run(NODE, PROGRAMS / "ai_sdk.mjs", url, *EMBEDDER)
    return json.loads(told.splitlines()[-1])
