"""Tokens a second of one sequence on MLX, with drafts that are looked up in the text and without.

    python -m benchmarks.drafts [--models tiny small] [--tokens 200] [--rounds 5]

A model with random weights says nothing that stands in its prompt, so the best token is replaced
by that of a text of ours, at the cost of an addition: one that repeats the prompt with a change
now and then, as the edit of a file does, and one that repeats nothing. The passes are real.
"""

# ruff: noqa: ANN401 - of MLX models there are no types.

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import Runs, machine, print_table, ratios
from benchmarks.random_models import SHAPES, write_mlx
from models.chat import SamplingParams
from models.engine.backend import Decoded, Work
from models.engine.mlx_batch import Batches
from models.engine.mlx_layers import Layers, cost_of
from models.engine.mlx_library import import_library
from models.engine.mlx_lookup import Drafting, Watch
from models.engine.mlx_prefill import Reader, grid_for
from models.engine.mlx_runner import Runner
from models.engine.mlx_sequence import Sequence as Row
from models.engine.prefix_cache import PrefixCache
from models.errors import InferenceError

_PROMPT = 200  # tokens
_CHANGED = 25  # every so many tokens of an edit one is another
_WORST = 0.97  # of the speed without


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure drafts on MLX.")
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["tiny", "small"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{machine()}; {import_library().mx.default_device()}; {asked.dtype}\n")
    header = ["model", "text", "without, tok/s", "with, tok/s", "with / without", "goal ≥ 0.97"]
    print_table(header, rows(asked.models, asked.dtype, asked.tokens, asked.rounds))


def rows(models: list[str], dtype: str, tokens: int, rounds: int) -> Iterator[list[str]]:
    for name in models:
        with tempfile.TemporaryDirectory() as folder:
            write_mlx(Path(folder) / name, SHAPES[name], dtype=dtype)
            model, _ = import_library().load_model(Path(folder) / name)
        chance = random.Random(0)
        prompt = [chance.randrange(300, SHAPES[name].vocabulary) for _ in range(_PROMPT)]
        new = [chance.randrange(300, SHAPES[name].vocabulary) for _ in range(2 * tokens)]
        edit = [
            new[place] if place % _CHANGED == _CHANGED - 1 else prompt[place % _PROMPT]
            for place in range(tokens)
        ]
        for text, said in (("an edit", edit), ("nothing repeated", new[:tokens])):
            speeds: dict[bool, list[float]] = {False: [], True: []}
            for number in range(rounds + 1):
                for drafts in (False, True):
                    speed = measure(Saying(model, prompt, said), prompt, said, drafts=drafts)
                    if number:  # the first warms up
                        speeds[drafts].append(speed)
            without, with_drafts = Runs(speeds[False]), Runs(speeds[True])
            ratio = ratios(with_drafts, without)
            met = "met" if ratio.median >= _WORST else "MISSED"
            yield [name, text, without.text(), with_drafts.text(), ratio.text(), met]


class Saying:
    """A model that says a text: what follows a place is the best token there."""

    def __init__(self, model: Any, prompt: Sequence[int], said: Sequence[int]) -> None:
        self._model = model
        self._whole = [*prompt, *said, 0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, cache: Any = None, **options: Any) -> Any:
        mx = import_library().mx
        offset = cache[0].offset + 1  # an array, in a batch, that grows
        logits = self._model(inputs, cache=cache, **options)
        if inputs.shape[0] != 1:
            return logits
        places = offset + mx.arange(inputs.shape[1])
        best = mx.take(mx.array(self._whole), mx.minimum(places, len(self._whole) - 1))
        one = mx.arange(logits.shape[-1]) == best.reshape(1, -1, 1)
        return mx.where(one, 1e4, logits)


def measure(model: Any, prompt: list[int], said: list[int], *, drafts: bool) -> float:
    """Return tokens a second behind the first."""
    runner = runner_of(model, drafts=drafts)
    work = Work(
        tokens=tuple(prompt), max_tokens=len(said), sampling=SamplingParams(temperature=0.0)
    )
    runner.insert({1: work})
    ids: list[int] = []
    began = 0.0
    while runner.has_work:
        for output in runner.step():
            if isinstance(output, Decoded):
                began = began or perf_counter()
                ids += output.ids or ()
    seconds = perf_counter() - began
    assert ids == said, "it said something else"
    return (len(said) - 1) / seconds


def runner_of(model: Any, *, drafts: bool) -> Runner:
    library = import_library()
    handling = Layers(library.mx)

    def new_layers() -> list[Any]:
        return library.make_prompt_cache(model)

    def new_row(ticket: int, work: Work) -> Row:
        watch = Watch(work.tokens) if drafts else None
        row = Row(ticket, NoPieces(), len(work.tokens), work.max_tokens, urgent=False, sampler=None)
        row.watch, row.watchers = watch, [watch] if watch else []
        return row

    def new_drafting(row: Row, layers: list[Any]) -> Drafting:
        assert row.watch
        return Drafting(library.mx, model, layers, row.watch, row.sampler)

    return Runner(
        Reader(library.mx, model, new_layers, handling, grid_for(on_cpu=True, weights_bytes=0)),
        Batches(
            lambda: library.new_batch(model),
            cost_of(library.mx, model, new_layers()),
            weights_bytes=1 << 40,
            stop_tokens=frozenset(),
            new_drafting=new_drafting,
        ),
        PrefixCache(0, None, handling=handling, least_gain=1),
        room_bytes=1 << 34,
        most_rows=8,
        new_row=new_row,
        new_echo=no_echo,
        explain=lambda error: InferenceError(str(error)),
    )


def no_echo(_: Work) -> Any:
    raise AssertionError("nobody asks for the prompt's log-probabilities")


class NoPieces:
    def piece(self, token: int) -> bytes:
        return b""

    def rest(self) -> bytes:
        return b""


if __name__ == "__main__":
    main()
