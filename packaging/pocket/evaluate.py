"""Asks the finished model, on both engines, what training never showed it, and prints a table.

    evaluate.py [FOLDER] [--bfcl FOLDER]

FOLDER holds gguf/pocket.gguf and mlx/; it is resources/pocket where none is named. Run by
the product's own environment, since its engines are what is measured.
"""

# pyright: strict

import argparse
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import bfcl
from data import Dialogue, compile_template, dialogues, prompt
from held_out import QUESTIONS
from jinja2 import Template
from score import Score, score
from talk import Turn, beyond_me, capital, fact, who
from words import Dice

from models import needs
from models.builtin import read
from models.chat import SamplingParams
from models.engine.backend import Backend, Decoded, Work
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.mlx_library import end_thread
from models.events import FinishReason
from models.model import Kind, Model
from models.needs import Wish

ROOT = Path(__file__).resolve().parents[2]
TESTDATA = Path(os.environ.get("INGLENOOK_TESTDATA", ROOT.parent / "shared/testdata"))
HELD_OUT = 7  # a seed that neither training nor the tokenizer has seen
DIALOGUES = 1600  # of 400 only some 120 are single calls: one more or less is 0.8 %
FACTS = 60
CONTEXT = 2048  # tokens
LONGEST_REPLY = 384  # tokens
AGREEMENT = "the engines agree"
GOALS = {  # per cent
    "tool name": 98,
    "arguments": 90,
    "JSON exact": 90,
    "recall": 90,
    "says what it is": 90,
    "stops by itself": 100,
    AGREEMENT: 95,
}
GREEDY = SamplingParams(temperature=0.0, repeat_penalty=1.0)


@dataclass(frozen=True, slots=True)
class Case:
    prompt: str
    judge: Callable[[str], Score]
    stops: str = "stops by itself"


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    stopped: bool  # by itself


def cases(template: Template, bfcl_folder: Path) -> Iterator[Case]:

    def case(dialogue: Dialogue) -> Case:
        return Case(prompt(template, dialogue), lambda reply: score(dialogue, reply))

    yield from map(case, islice(dialogues(HELD_OUT), DIALOGUES))
    dice = Dice(HELD_OUT)
    for _ in range(FACTS):
        dialogue = Dialogue("fact")
        dialogue.turn(dice.pick([fact, capital, who])(dice))
        yield case(dialogue)
    for asked in QUESTIONS:
        dialogue = Dialogue("beyond")
        dialogue.turn(Turn(asked, beyond_me(), ""))
        yield case(dialogue)
    for question in bfcl.simple(bfcl_folder):
        yield Case(prompt(template, question.dialogue), question.judge, "BFCL: stops by itself")


def answer(backend: Backend, asked: list[Case], woken: threading.Event) -> list[Reply]:
    """Return what the model says to each, greedily."""
    while not backend.load():
        woken.wait(0.05)
    said: dict[int, bytes] = {}
    ended: dict[int, FinishReason] = {}
    for ticket, case in enumerate(asked):
        tokens = backend.prompter.tokenizer.encode(case.prompt)
        said[ticket] = b""
        if len(tokens) + LONGEST_REPLY > CONTEXT:
            ended[ticket] = FinishReason.MAX_TOKENS
            continue
        work = Work(tokens=tuple(tokens), max_tokens=LONGEST_REPLY, sampling=GREEDY)
        backend.insert({ticket: work})
    while len(ended) < len(asked):
        if not backend.has_work():
            woken.wait(0.2)
            woken.clear()
        for output in backend.step():
            if isinstance(output, Decoded):
                said[output.ticket] += output.piece
                if output.finish:
                    ended[output.ticket] = output.finish
    return [
        Reply(said[each].decode(errors="replace"), ended[each] is FinishReason.END_OF_TURN)
        for each in range(len(asked))
    ]


def run(model: Model, asked: list[Case]) -> list[Reply]:
    woken = threading.Event()
    opened = open_mlx if model.kind is Kind.MLX else open_llama
    wish = Wish(asked_context=CONTEXT)
    spec = needs.roomiest(needs.least(model, wish), wish, spare_bytes=1 << 30)
    backend = opened(spec, woken.set)
    try:
        return answer(backend, asked, woken)
    finally:
        backend.close()


def tally(asked: list[Case], replies: list[Reply]) -> dict[str, list[bool]]:
    measured: dict[str, list[bool]] = defaultdict(list)
    for case, reply in zip(asked, replies, strict=True):
        for measure, right in (case.judge(reply.text) | {case.stops: reply.stopped}).items():
            measured[measure].append(right)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "resources/pocket")
    parser.add_argument("--bfcl", type=Path, default=TESTDATA / "tools")
    options = parser.parse_args()
    template = compile_template((options.folder / "mlx/chat_template.jinja").read_text())
    asked = list(cases(template, options.bfcl))
    replies = {model.kind: run(model, asked) for model in read(options.folder)}
    end_thread()
    tables = {kind: tally(asked, each) for kind, each in replies.items()}
    print(f"{'':28}" + "".join(f"{kind:>20}" for kind in tables))
    for measure in next(iter(tables.values())):
        show(measure, [table[measure] for table in tables.values()])
    if len(replies) > 1:
        same = [one.text == other.text for one, other in zip(*replies.values(), strict=True)]
        show(AGREEMENT, [same])


def show(measure: str, columns: list[list[bool]]) -> None:
    goal = GOALS.get(measure)
    line = f"{measure:28}" + "".join(f"{_share(each):>20}" for each in columns)
    if goal is not None:
        missed = any(100 * sum(each) < goal * len(each) for each in columns)
        line += f"   goal {goal} %" + (", MISSED" if missed else "")
    print(line)


def _share(right: list[bool]) -> str:
    return f"{sum(right)}/{len(right)} {100 * sum(right) / len(right):5.1f} %"


if __name__ == "__main__":
    main()
