"""What a grammar costs a token: the same models write with one and without, in turns.

And what the first grammar of a model costs: itself, and a stream that is under way.

python -m benchmarks.grammar_cost [--rounds N]
"""

import argparse
import queue
import tempfile
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import perf_counter, sleep

from app.services import open_everything
from benchmarks.measure import Runs, machine, print_table, ratios
from benchmarks.random_models import SMALL, Shape, write_gguf, write_mlx
from models import chat
from models.chat import Constraint, GenerateRequest, JsonSchema, Origin, SamplingParams
from models.events import Event, Failed, Finished, TextDelta
from models.residency import Residency

AT_ONCE = (1, 4, 8)
MAX_TOKENS = 32
GOAL = 1.05
QUIET_SECONDS, WARM_PIECES = 1.5, 5
# SmolLM2's vocabulary, and so few weights that a step takes some milliseconds: on a graphics
# card those of a large model do not take longer.
MLX_SHAPE = Shape(49_152, width=256, layers=4, heads=4, kv_heads=2, feed_forward=768)
# It asks for more than fits, so that all write as many tokens.
SCHEMA = JsonSchema(
    {"type": "array", "items": {"type": "string", "minLength": 9, "maxLength": 40}, "minItems": 99}
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a grammar costs.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    print(f"{machine()}; {MAX_TOKENS} tokens a request, median (lowest–highest) of {rounds}\n")
    rows: list[list[str]] = []
    firsts: list[list[str]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_everything(Path(folder) / "home") as services,
    ):
        gguf, mlx = Path(folder) / "gguf-49k.gguf", Path(folder) / "mlx-49k"
        write_gguf(gguf, SMALL)
        write_mlx(mlx, MLX_SHAPE)
        for pocket in ("pocket:latest", "pocket:mlx"):
            firsts.append(first_use(services.residency, pocket))
        for path in (gguf, mlx):
            services.store.import_path(path, path.stem)
            firsts.append(first_use(services.residency, path.stem))
            rows += [measure(services.residency, path.stem, at_once, rounds) for at_once in AT_ONCE]
    print_table(["model", "at once", "free, ms", "grammar, ms", f"ratio (goal ≤ {GOAL})"], rows)
    print("\nLongest gap of a stream, and the time to the first token of a grammar, in ms:\n")
    print_table(["model", "quiet", "first grammar", "second", "first token", "of second"], firsts)


def first_use(residency: Residency, model: str) -> list[str]:
    """What a stream notices of the model's first grammar, and of its second."""
    stream = Stream(residency, model)
    gaps = [stream.longest_gap(lambda: sleep(QUIET_SECONDS))]
    waits: list[float] = []

    def ask() -> None:
        began = perf_counter()
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        request = GenerateRequest(
            model=model, prompt=(chat.user("Write."),), constraint=SCHEMA, max_tokens=2
        )
        residency.submit(request, events.put, origin=Origin("command"))
        while not isinstance(event := events.get(timeout=120), TextDelta | Finished):
            if isinstance(event, Failed):
                raise event.error
        waits.append((perf_counter() - began) * 1000)
        sleep(0.3)

    gaps += [stream.longest_gap(ask), stream.longest_gap(ask)]
    stream.stop()
    return [model, *(f"{each:.0f}" for each in (*gaps, *waits))]


class Stream:
    """One that writes until it is stopped, or its context is full; it has begun."""

    def __init__(self, residency: Residency, model: str) -> None:
        self._residency = residency
        self._model = model
        self._times: list[float] = []
        self._stopped = False
        self._done = threading.Event()
        self._start()
        while len(self._times) < WARM_PIECES:
            sleep(0.01)

    def longest_gap(self, meanwhile: Callable[[], None]) -> float:
        """Milliseconds between two pieces, of those while something is done."""
        first = len(self._times) - 1
        meanwhile()
        times = [*self._times[first:], perf_counter()]
        return 1000 * max(after - before for before, after in pairwise(times))

    def stop(self) -> None:
        self._stopped = True
        self._residency.cancel(self._ticket)
        self._done.wait(10)

    def _start(self) -> None:
        sampling = SamplingParams(temperature=1.0, ignore_eos=True)
        request = GenerateRequest(model=self._model, prompt="Once", sampling=sampling)
        self._ticket = self._residency.submit(request, self._take, origin=Origin("command"))

    def _take(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._times.append(perf_counter())
            case Finished() | Failed():
                self._done.set()
            case _:
                pass


def measure(residency: Residency, model: str, at_once: int, rounds: int) -> list[str]:
    """Milliseconds a step, which is a token of each."""
    free: list[float] = []
    bound: list[float] = []
    for constraint in (None, SCHEMA):
        step(residency, model, constraint, at_once)  # load, and see this size of batch once
    for _ in range(rounds):
        free.append(step(residency, model, None, at_once))
        bound.append(step(residency, model, SCHEMA, at_once))
    ratio = ratios(Runs(bound), Runs(free))
    verdict = "met" if ratio.median <= GOAL else "MISSED"
    return [
        model,
        str(at_once),
        Runs(free).text(),
        Runs(bound).text(),
        f"{ratio.text(digits=3)}: {verdict}",
    ]


def step(residency: Residency, model: str, constraint: Constraint | None, at_once: int) -> float:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    for seed in range(at_once):
        request = GenerateRequest(
            model=model,
            prompt=(chat.user("Write."),),
            constraint=constraint,
            sampling=SamplingParams(temperature=1.0, seed=seed, ignore_eos=constraint is None),
            max_tokens=MAX_TOKENS,
        )
        residency.submit(request, events.put, origin=Origin("command"))
    seconds = 0.0
    for _ in range(at_once):
        while not isinstance(event := events.get(timeout=120), Finished):
            if isinstance(event, Failed):
                raise event.error
        seconds = max(seconds, event.usage.decode_seconds)
    return seconds / MAX_TOKENS * 1000


if __name__ == "__main__":
    main()
