"""How long one waits for the first token: of a new prompt, a known one, a longer one.

    python -m benchmarks.first_token [--engines llama mlx] [--model small] [--tokens 2000 8000]

cold        a prompt that nobody has seen
exact       the same once more
extended    the chat goes on: the prompt, its answer, and a new question
restarted   a cold prompt, then the program ends and starts again, and the same once more

The same questions go to the server that the library brings along.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from string import ascii_lowercase

from app.services import open_everything
from benchmarks import peers
from benchmarks.measure import Runs, machine, print_table
from benchmarks.peers import Answer, Peer, a_chat
from benchmarks.random_models import SHAPES, write_gguf, write_mlx

MAX_TOKENS = 16
CONTEXT_LENGTH = 16_384
GOALS = {"cold / peer": 1.05, "exact / cold": 0.02, "exact / peer": 1.2, "extended / cold": 0.04}
RESTART_GOAL = 0.15
_PROBE_WORDS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the wait for the first token.")
    parser.add_argument("--engines", nargs="+", default=["llama", "mlx"])
    parser.add_argument("--model", choices=SHAPES, default="small")
    parser.add_argument("--dtype", default="float32", help="of the MLX weights")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{machine()}; median (lowest–highest) of {asked.rounds}, in seconds\n")
    with tempfile.TemporaryDirectory() as folder:
        for engine in asked.engines:
            home, path = Path(folder) / f"home-{engine}", Path(folder) / engine
            if engine == "llama":
                path = path.with_suffix(".gguf")
                write_gguf(path, SHAPES[asked.model], CONTEXT_LENGTH)
            else:
                write_mlx(path, SHAPES[asked.model], CONTEXT_LENGTH, asked.dtype)
            with open_everything(home) as services:
                services.store.import_path(path, "model")
            compare(engine, path, home, asked.tokens, asked.rounds)


def compare(engine: str, path: Path, home: Path, lengths: list[int], rounds: int) -> None:
    print(f"### {engine}\n")
    header = ["tokens", "cold", "exact", "extended", "restarted", "peer: cold", "peer: exact"]
    header += ["peer: extended"]
    header += [f"{name} (goal ≤ {goal})" for name, goal in GOALS.items()]
    header.append(f"restarted / cold (goal ≤ {RESTART_GOAL})")
    print_table(header, rows(engine, path, home, lengths, rounds))


def rows(
    engine: str, path: Path, home: Path, lengths: list[int], rounds: int
) -> Iterator[list[str]]:
    for length in lengths:
        seen: dict[str, list[float]] = {}
        tokens = 0
        for round_ in range(rounds):
            random = Random(f"{engine} {length} {round_}")
            with peers.ours(home, "model") as mine, the_peer(engine, path) as peer:
                words = words_for(length, mine)
                prompt, kept = (text_of(words, random) for _ in range(2))
                peer.ask(a_chat(text_of(_PROBE_WORDS, random)), MAX_TOKENS)  # it is warm too
                sides = [(mine, "ours"), (peer, "peer")]
                for side, name in sides if round_ % 2 == 0 else reversed(sides):
                    tokens = ask_three(side, name, prompt, seen)
                mine.ask(a_chat(kept), MAX_TOKENS)
            with peers.ours(home, "model") as mine:
                words_for(length, mine)  # it is loaded, and warm
                again = mine.ask(a_chat(kept), MAX_TOKENS)
                seen.setdefault("ours restarted", []).append(again.first_seconds)
        yield row(tokens, {name: Runs(values) for name, values in seen.items()})


def words_for(tokens: int, side: Peer) -> int:
    """How many words have so many tokens."""
    probe = side.ask(a_chat(text_of(_PROBE_WORDS, Random(tokens))), MAX_TOKENS)
    return tokens * _PROBE_WORDS // probe.prompt_tokens


def ask_three(side: Peer, name: str, prompt: str, seen: dict[str, list[float]]) -> int:
    def note(what: str, answer: Answer) -> None:
        seen.setdefault(f"{name} {what}", []).append(answer.first_seconds)

    chat = a_chat(prompt)
    cold = side.ask(chat, MAX_TOKENS)
    note("cold", cold)
    note("exact", side.ask(chat, MAX_TOKENS))
    longer = [*chat, {"role": "assistant", "content": cold.text}, *a_chat("And what else?")]
    note("extended", side.ask(longer, MAX_TOKENS))
    return cold.prompt_tokens


def row(tokens: int, seen: dict[str, Runs]) -> list[str]:
    cold, exact = seen["ours cold"].median, seen["ours exact"].median
    found = [
        cold / seen["peer cold"].median,
        exact / cold,
        exact / seen["peer exact"].median,
        seen["ours extended"].median / cold,
        seen["ours restarted"].median / cold,
    ]
    goals = [*GOALS.values(), RESTART_GOAL]
    shown = ["ours cold", "ours exact", "ours extended", "ours restarted"]
    shown += ["peer cold", "peer exact", "peer extended"]
    return [
        str(tokens),
        *(seen[name].text(digits=3) for name in shown),
        *(
            f"{ratio:.3f}: {'met' if ratio <= goal else 'MISSED'}"
            for ratio, goal in zip(found, goals, strict=True)
        ),
    ]


def the_peer(engine: str, path: Path) -> AbstractContextManager[Peer]:
    if engine == "llama":
        return peers.llama_server(path, sequences=4, cells=4 * CONTEXT_LENGTH)
    return peers.mlx_server(path)


def text_of(words: int, random: Random) -> str:
    """Words of four letters, different from the first on."""
    return " ".join("".join(random.choices(ascii_lowercase, k=4)) for _ in range(words))


if __name__ == "__main__":
    main()
