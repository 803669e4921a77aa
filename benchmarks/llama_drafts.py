"""Tokens a processor second of llama.cpp with drafts and without.

    python -m benchmarks.llama_drafts [--shape small] [--tokens 200] [--rounds 5]

A model with random weights that draws says nothing twice, unless it is asked the same with the
same seed again: then it says what it has said before, as in the edit of a file. A draft model whose
weights are random too is never right. Where drafts lose the model would be loaded again without
them: here it goes on, and how many tokens it had written by then stands beside. In 8 bits a pass
over several tokens rounds unlike one over one, and random weights are often of two minds.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import psutil

from benchmarks.measure import Runs, machine, print_table, ratios
from benchmarks.random_models import CONTEXT_LENGTH, SHAPES, TINY, write_gguf
from models import builtin, needs
from models.chat import SamplingParams
from models.drafts import Drafts, Lookup
from models.engine.backend import Decoded, SequenceFailed, Work
from models.engine.llama import LlamaBackend, open_llama
from models.model import Model
from models.needs import Wish
from models.store import Store

_WORST = 0.97  # of the speed without
_ROOM_BYTES = 4 << 30
_WAIT_SECONDS = 60.0
# What is said, whether it was said before, and by how many at once.
_TEXTS = (
    ("said before", True, 1),
    ("nothing repeated", False, 1),
    ("said before, four at once", True, 4),
    ("nothing repeated, four at once", False, 4),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure drafts on llama.cpp.")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{machine()}; {asked.shape}, Q8_0\n")
    header = ["drafts", "text", "without, tok/s", "with, tok/s", "right", "same text"]
    header += ["with / without", "given up after", "goal ≥ 0.97"]
    print_table(header, rows(asked.shape, asked.tokens, asked.rounds))


def rows(shape: str, tokens: int, rounds: int) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "home", builtin=builtin.FOLDER)
        model = _written(store, Path(folder) / "model.gguf", shape)
        guesses = _written(store, Path(folder) / "guesses.gguf", shape, small=True)
        for name, drafts in (("ngram-mod", Lookup.NGRAM_MOD), ("a model, never right", guesses)):
            for text, again, at_once in _TEXTS:
                with ExitStack() as opened:
                    plain = opened.enter_context(closing(Speaker(model, None)))
                    ours = opened.enter_context(closing(Speaker(model, drafts)))
                    measured = _compared(plain, ours, at_once, tokens, rounds, again=again)
                    yield [name, text, *measured]


def _compared(
    plain: "Speaker", ours: "Speaker", at_once: int, tokens: int, rounds: int, *, again: bool
) -> list[str]:
    speeds: list[list[float]] = []
    before, same = ours.counted, 0
    for _ in range(rounds + 1):
        prompts = [_prompt(next(plain.asked)) for _ in range(at_once)]
        texts: list[list[list[int]]] = []
        speeds.append([])
        for speaker in (plain, ours):
            if again:
                speaker.say(prompts, tokens)
            said, speed = speaker.say(prompts, tokens)
            texts.append(said)
            speeds[-1].append(speed)
        same += texts[0] == texts[1]
    # The first round warms up.
    without, with_drafts = (Runs([each[side] for each in speeds[1:]]) for side in (0, 1))
    ratio = ratios(with_drafts, without)
    drafted, accepted = (now - then for now, then in zip(ours.counted, before, strict=True))
    right = f"{accepted / drafted:.0%} of {drafted:,}" if drafted else "none made"
    given_up = f"{ours.written_in_vain:,} tokens" if ours.written_in_vain else "–"
    met = "met" if ratio.median >= _WORST or ours.written_in_vain else "MISSED"
    speed = [without.text(digits=1), with_drafts.text(digits=1)]
    return [*speed, right, f"{same} of {rounds + 1}", ratio.text(), given_up, met]


def _seconds(child: psutil.Process) -> float:
    times = child.cpu_times()
    return times.user + times.system


def _prompt(number: int) -> tuple[int, ...]:
    return tuple(range(1000 + 50 * number, 1030 + 50 * number))


def _written(store: Store, path: Path, shape: str, *, small: bool = False) -> Model:
    wanted = SHAPES[shape]
    if small:
        wanted = replace(TINY, vocabulary=wanted.vocabulary)
    write_gguf(path, wanted)
    return store.import_path(path, path.stem)


class Speaker:
    """A loaded model."""

    def __init__(self, model: Model, drafts: Drafts | None) -> None:
        # As it is loaded with drafts: with fewer sequences than without.
        wish = Wish(asked_context=CONTEXT_LENGTH, drafts=drafts or Lookup.NGRAM_MOD)
        spec = needs.roomiest(needs.least(model, wish), wish, _ROOM_BYTES)
        self.written_in_vain = 0  # tokens, when its drafts had lost; 0: they have not
        self._written = 0  # tokens
        self.asked = count()  # prompts so far: what was said before would be found again
        self._tickets = count()
        self._woken = threading.Event()
        self._backend: LlamaBackend = open_llama(replace(spec, drafts=drafts), self._woken.set)
        while not self._backend.load():
            self._wait()

    @property
    def counted(self) -> tuple[int, int]:
        """Tokens drafted, and accepted."""
        counters = self._backend.counters
        return counters.drafted_tokens, counters.accepted_tokens

    def say(self, prompts: list[tuple[int, ...]], tokens: int) -> tuple[list[list[int]], float]:
        """Return what it says, and tokens a second of all together behind the first.

        The seconds are those that the child has had of a processor, whoever else has some.
        """
        sampling = SamplingParams(temperature=1.0, seed=1, ignore_eos=True)
        said: dict[int, list[int]] = {}
        for prompt in prompts:
            ticket = next(self._tickets)
            said[ticket] = []
            work = Work(tokens=prompt, max_tokens=tokens, sampling=sampling)
            self._backend.insert({ticket: work})
        left, began, first = len(prompts), 0.0, 0
        child = psutil.Process(self._backend.pid)
        while left:
            for output in self._backend.step():
                assert not isinstance(output, SequenceFailed), output.error
                if isinstance(output, Decoded):
                    said[output.ticket] += output.ids or ()
                    left -= output.finish is not None
                    self._written += output.count
            if not self.written_in_vain and self._backend.counters.drafts_lose:
                self.written_in_vain = self._written
            if not began and all(said.values()):
                began, first = _seconds(child), sum(map(len, said.values()))
            if left and not self._backend.has_work():
                self._wait()
        speed = (sum(map(len, said.values())) - first) / (_seconds(child) - began)
        return list(said.values()), speed

    def close(self) -> None:
        self._backend.close()

    def _wait(self) -> None:
        assert self._woken.wait(_WAIT_SECONDS), "nothing comes"
        self._woken.clear()


if __name__ == "__main__":
    main()
