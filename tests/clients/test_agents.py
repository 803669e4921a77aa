"""Agent programs as people install them, pointed at us: an exchange, a second turn, a tool.

One that could not be installed is skipped. What they send is in docs/clients.md.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.agent_model import SENTENCE
from tests.clients.agent_server import agent_server, call_of, scripted_server
from tests.clients.conftest import ENVIRONMENTS
from tests.node import NODE

MODULES = Path(__file__).parent / "agents/node_modules"
CLAUDE = MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs"
CODEX = MODULES / "@openai/codex/bin/codex.js"
AIDER = ENVIRONMENTS / "aider/bin/aider"
SECRET = "the-word-in-the-file"  # which only a tool can find
SECONDS = 58

QUIET_CLAUDE = {
    "ANTHROPIC_AUTH_TOKEN": "none",
    "ANTHROPIC_MODEL": "agent",
    "ANTHROPIC_SMALL_FAST_MODEL": "agent",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
}
CODEX_SETTINGS = """
model = "agent"
model_provider = "inglenook"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.inglenook]
name = "Inglenook"
base_url = "{url}/v1"
wire_api = "responses"
"""
QUIET_AIDER = [
    *("--no-analytics", "--no-check-update", "--no-show-model-warnings"),
    *("--no-show-release-notes", "--yes-always", "--no-auto-commits", "--no-pretty", "--no-git"),
]


@pytest.fixture(scope="module")
def agent_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with agent_server(tmp_path_factory.mktemp("agent")) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a program works, with one file that it may read."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text(f"{SECRET}\n", encoding="utf-8")
    return folder


def run(folder: Path, *command: str | Path, **environment: str) -> str:
    """Return what a program says that knows nothing of this computer but its own home."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder.parent), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not CLAUDE.is_file(), reason="Claude Code is not installed")
class TestClaudeCode:
    def run(self, url: str, folder: Path, *arguments: str) -> str:
        command: Sequence[str | Path] = [NODE, CLAUDE, *arguments]
        return run(folder, *command, **QUIET_CLAUDE, ANTHROPIC_BASE_URL=url)

    def test_an_exchange_and_a_second_turn(self, agent_url: str, folder: Path):
        # Of its tools two alone: all thirty are a minute's reading for the model on two cores.
        few = ["--tools", "Bash,Read"]

        first = self.run(agent_url, folder, "-p", "Say hello.", *few)
        second = self.run(agent_url, folder, "-c", "-p", "And again.", *few)

        assert (first.strip(), second.strip()) == (SENTENCE, SENTENCE)

    def test_a_tool_turn(self, folder: Path):
        call = call_of("Read", {"file_path": str(folder / "a.txt")})

        with scripted_server(call, then=SECRET) as url:
            said = self.run(url, folder, "-p", "What is in a.txt?")

        assert said.strip() == SENTENCE


@pytest.mark.skipif(not CODEX.is_file(), reason="Codex is not installed")
class TestCodex:
    def run(self, url: str, folder: Path, *arguments: str) -> str:
        home = folder.parent / ".codex"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(CODEX_SETTINGS.format(url=url), encoding="utf-8")
        return run(folder, NODE, CODEX, "exec", "--skip-git-repo-check", *arguments)

    def test_an_exchange_and_a_second_turn(self, agent_url: str, folder: Path):
        first = self.run(agent_url, folder, "Say hello.")
        second = self.run(agent_url, folder, "resume", "--last", "And again.")

        assert (first.strip(), second.strip()) == (SENTENCE, SENTENCE)

    def test_as_the_local_provider_that_it_knows(self, agent_url: str, folder: Path):
        oss = ["--oss", "--local-provider", "ollama", "-m", "agent:latest"]
        command: Sequence[str | Path] = [NODE, CODEX, "exec", "--skip-git-repo-check", *oss]

        said = run(folder, *command, "Say hello.", CODEX_OSS_BASE_URL=f"{agent_url}/v1")

        assert said.strip() == SENTENCE

    def test_a_tool_turn(self, folder: Path):
        call = call_of("exec_command", {"cmd": "cat a.txt"})

        with scripted_server(call, then=SECRET) as url:
            said = self.run(url, folder, "What is in a.txt?")

        assert said.strip() == SENTENCE


@pytest.mark.skipif(not AIDER.is_file(), reason="aider is not installed")
class TestAider:
    def run(self, url: str, folder: Path, model: str, *arguments: str) -> str:
        return run(
            folder,
            AIDER,
            *QUIET_AIDER,
            *("--model", model),
            *arguments,
            "a.txt",
            OPENAI_API_BASE=f"{url}/v1",
            OPENAI_API_KEY="none",
            OLLAMA_API_BASE=url,
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )

    @pytest.mark.parametrize("model", ["openai/agent", "ollama_chat/agent"])
    def test_an_exchange_and_a_second_turn(self, agent_url: str, folder: Path, model: str):
        first = self.run(agent_url, folder, model, "--message", "Say hello.")
        second = self.run(
            agent_url, folder, model, "--restore-chat-history", "--message", "And again."
        )

        assert SENTENCE in first
        assert SENTENCE in second

    @pytest.mark.parametrize("model", ["openai/agent", "ollama_chat/agent"])
    def test_an_edit_which_is_its_tool(self, folder: Path, model: str):
        edit = "Here it is.\n\na.txt\n```\nchanged\n```\n"

        with scripted_server(edit, then="never read") as url:
            self.run(url, folder, model, "--edit-format", "whole", "--message", "Change a.txt.")

        assert (folder / "a.txt").read_text(encoding="utf-8") == "changed\n"
