"""Agents as they are: a long system text with thirty tools, of which a word changes at each turn.

    python -m benchmarks.agents [--tokens 10000] [--turns 6] [--models NAME ...]

The model ``agent`` of agent_model.py reads it on both engines, through every wire in turn. What
has been read before is not read again up to the word that changed: where it stands decides.
"""

import argparse
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from app.services import api_server, open_everything
from benchmarks.agent_model import (
    CONTEXT_LENGTH,
    SENTENCE,
    write_agent_gguf,
    write_agent_mlx,
)
from benchmarks.measure import JSON, machine, print_table
from benchmarks.wire_words import Question, Turn
from benchmarks.wires import WIRES, Wire

MODELS = {"agent": "llama.cpp", "agent-mlx": "MLX"}
TOOLS = 30
Place = Literal["first", "middle", "last"]
PLACES: tuple[Place, ...] = ("first", "middle", "last")
_LINE = "When a file of part {0} is open, tell of line {1} first and ask before line {2}. "
_LINE_TOKENS = 36  # as the model's vocabulary has it, or a few more


@dataclass(frozen=True, slots=True)
class Read:
    """What the turns of one chat read, without the first."""

    prompt_tokens: int  # of the last
    share: float  # of all, that came from the cache
    seconds: float  # of a turn, with the first
    first_seconds: float


@contextmanager
def agents(home: Path, models: Sequence[str]) -> Generator[int]:
    """Yield the port of a server that has the model, on each engine under a name of its own."""
    with open_everything(home / "inglenook") as services:
        services.settings.change(context_length=CONTEXT_LENGTH)
        for name in models:
            path = home / (name if name.endswith("mlx") else f"{name}.gguf")
            (write_agent_mlx if name.endswith("mlx") else write_agent_gguf)(path)
            services.store.import_path(path, name)
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        try:
            yield server.ports[0]
        finally:
            server.stop()


def tools() -> tuple[JSON, ...]:
    return tuple(
        {
            "name": f"files.part-{number}",
            "description": f"Find what is said of a thing in part {number}.",
            "parameters": {
                "type": "object",
                "properties": {
                    "what": {"type": "string", "description": "The thing."},
                    "depth": {"type": "integer", "description": "How deep to look."},
                },
                "required": ["what"],
            },
        }
        for number in range(TOOLS)
    )


def system_text(tokens: int, place: Place, turn: int) -> str:
    """Return a text of about so many tokens; one word of it tells the turn."""
    count = tokens // _LINE_TOKENS
    lines = [_LINE.format(number, number * 7, number * 3) for number in range(count)]
    at = {"first": 0, "middle": count // 2, "last": count}[place]
    lines.insert(at, f"It is turn {turn}. ")
    return "".join(lines)


def talk(port: int, model: str, wire: Wire, place: Place, tokens: int, turns: int) -> Read:
    """Hold a chat on one wire. Raises RuntimeError where a turn is not answered."""
    said: list[Turn] = []
    offered = tools()
    last = read = cached = 0
    seconds: list[float] = []
    for turn in range(turns):
        said.append(Turn("user", f"Look at part {turn}."))
        system = Turn("system", system_text(tokens, place, turn))
        began = perf_counter()
        answer = wire.ask(port, model, Question(turns=(system, *said), tools=offered))
        seconds.append(perf_counter() - began)
        if answer.text != SENTENCE:
            raise RuntimeError(f"{wire.name}: {answer.status} {answer.error or answer.text}")
        said.append(Turn("assistant", answer.text))
        last = answer.prompt_tokens
        if turn:
            read += answer.prompt_tokens
            cached += answer.cached_tokens
    return Read(last, cached / read, sum(seconds[1:]) / (turns - 1), seconds[0])


def rows(models: Sequence[str], tokens: int, turns: int) -> Iterator[list[str]]:
    told = [wire for wire in WIRES if wire.name != "ollama"]  # that one has no word for it
    with tempfile.TemporaryDirectory() as home, agents(Path(home), models) as port:
        for model in models:
            for number, place in enumerate(PLACES):
                wire = told[number % len(told)]
                read = talk(port, model, wire, place, tokens, turns)
                yield [
                    MODELS[model],
                    place,
                    wire.name,
                    f"{read.prompt_tokens:,}",
                    f"{100 * read.share:.1f} %",
                    f"{read.first_seconds:.1f}",
                    f"{read.seconds:.1f}",
                ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Long system texts that change by a word.")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    asked = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    print_table(
        [
            "engine",
            "the word stands",
            "wire",
            "prompt tokens",
            "from the cache",
            "first turn, s",
            "another, s",
        ],
        rows(asked.models, asked.tokens, asked.turns),
    )


if __name__ == "__main__":
    main()
