"""Is the text of a request with a seed the same on a busy and on a quiet day?

    python -m benchmarks.same_text [--requests 50]

Each request is asked alone, one after the other; the same once more, with all prompts known; then
in another order, thirteen at a time. Printed is how many texts are not those of the first round.
"""

import argparse
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from app.services import open_everything
from benchmarks.measure import machine, print_table
from models import chat
from models.chat import GenerateRequest, Origin, SamplingParams
from models.events import Event, Failed, Last, TextDelta
from models.residency import Residency

MODELS = ("pocket", "pocket:mlx")
AT_ONCE = 13
_MOST_TOKENS = 40
_ORIGIN = Origin("api", "same text")
_SYSTEMS = ("", "You tell stories of long days. " * 20, "You know the capitals of the world. " * 45)
_QUESTIONS = (
    "Tell me a story.",
    "What is the capital of France?",
    "Who are you?",
    "Tell me of a day in the woods.",
)


class Answer:
    def __init__(self) -> None:
        self.text = ""
        self._ended = threading.Event()

    def __call__(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self.text += text
            case Failed(error):
                self.text = f"({error})"
            case _:
                pass
        if isinstance(event, Last):
            self._ended.set()

    def wait(self) -> str:
        self._ended.wait()
        return self.text


def question(model: str, number: int, more: str, seed: int) -> GenerateRequest:
    system = _SYSTEMS[number % len(_SYSTEMS)]
    asked = chat.user(f"{_QUESTIONS[number % len(_QUESTIONS)]} {more}")
    return GenerateRequest(
        model=model,
        prompt=(chat.system(system), asked) if system else (asked,),
        sampling=SamplingParams(temperature=0.8, seed=seed),
        max_tokens=_MOST_TOKENS,
    )


def ask(residency: Residency, request: GenerateRequest) -> Answer:
    answer = Answer()
    residency.submit(request, answer, origin=_ORIGIN)
    return answer


def differing(residency: Residency, model: str, count: int) -> tuple[int, int]:
    """Return how many texts differ when they are asked alone again, and in company."""
    requests = [question(model, each, str(each // 12), seed=each) for each in range(count)]
    quiet = [ask(residency, each).wait() for each in requests]
    again = [ask(residency, each).wait() for each in requests]
    order = list(range(count))
    Random(1).shuffle(order)

    def answer(number: int) -> str:
        return ask(residency, requests[number]).wait()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        busy = list(threads.map(answer, order))
    return unequal(quiet, again), unequal([quiet[each] for each in order], busy)


def unequal(some: Sequence[str], others: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(some, others, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare texts of a busy and a quiet day.")
    parser.add_argument("--requests", type=int, default=50)
    count = parser.parse_args().requests
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, open_everything(Path(folder)) as services:
        rows = ((each, *map(str, differing(services.residency, each, count))) for each in MODELS)
        header = (f"of {count} differ", "alone, asked again", f"{AT_ONCE} at a time")
        print_table(header, rows)


if __name__ == "__main__":
    main()
