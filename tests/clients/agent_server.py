"""Who answers agent programs: the model ``agent``, and one that uses a tool of theirs first."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.services import api_server, open_everything
from benchmarks.agent_model import CONTEXT_LENGTH, SENTENCE, write_agent_gguf
from models.engine.backend import Work
from models.engine.prompt import Prompter
from models.engine.template import ChatTemplate
from tests.conftest import REPOSITORY
from tests.fakes import ByteTokenizer, ScriptedBackend, a_model, scripted_residency
from tests.server.conftest import FakeStore, Serving

_TEMPLATE = (REPOSITORY / "resources/pocket/mlx/chat_template.jinja").read_text(encoding="utf-8")
_LONG = 1 << 20  # a token is a byte here


@contextmanager
def agent_server(home: Path) -> Iterator[str]:
    gguf = home / "agent.gguf"
    write_agent_gguf(gguf)
    with open_everything(home / "inglenook") as services:
        services.settings.change(context_length=CONTEXT_LENGTH)
        services.store.import_path(gguf, "agent")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield f"http://127.0.0.1:{server.ports[0]}"
        server.stop()


class FirstThis(ScriptedBackend):
    """Says one thing, and a plain sentence as soon as it has read ``then``."""

    def __init__(self, first: str, then: str) -> None:
        super().__init__(context_length=_LONG)
        self.prompter = Prompter(ChatTemplate(_TEMPLATE), ByteTokenizer(), _LONG)
        self.first = first
        self.then = then

    def insert(self, works: Mapping[int, Work]) -> None:
        for ticket, work in works.items():
            done = self.then.encode() in bytes(work.tokens)
            self.pieces = (SENTENCE if done else self.first,)
            super().insert({ticket: work})


@contextmanager
def scripted_server(first: str, then: str) -> Iterator[str]:
    model = a_model("agent", context_length=_LONG)
    model = replace(model, details=replace(model.details, tools=True))
    serving = Serving(scripted_residency(FirstThis(first, then), model), FakeStore([model]))
    try:
        yield f"http://127.0.0.1:{serving.server.ports[0]}"
    finally:
        serving.server.stop()
        serving.residency.close()


def call_of(name: str, arguments: Mapping[str, Any]) -> str:
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"
