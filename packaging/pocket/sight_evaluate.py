"""Shows the finished model pictures that training never had, on both engines; prints a table.

    sight_evaluate.py [--pictures N] [--fonts FOLDER]

A question a picture, through all of the program that a person's question goes through. FOLDER
has the .ttf files that numbers are printed in, beside Pillow's own. Run by the product's own
environment, as evaluate.py is.
"""

# pyright: strict

import argparse
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue

from sight_figures import fonts, scene
from sight_questions import exchanges
from words import Dice

from app.services import open_everything
from models.chat import GenerateRequest, Image, Message, Origin, SamplingParams, Text
from models.events import Event, Failed, Finished, TextDelta
from models.residency import Residency

HELD_OUT = 70_000_001  # a seed that training has not seen
LONGEST_REPLY = 60  # tokens
GOAL, AGREEMENT_GOAL = 90, 95  # per cent
GREEDY = SamplingParams(temperature=0.0, repeat_penalty=1.0)


@dataclass(frozen=True, slots=True)
class Shown:
    png: bytes
    question: str
    answer: str
    kind: str


def held_out(count: int, with_fonts: list[str]) -> list[Shown]:
    dice = Dice(HELD_OUT)
    shown: list[Shown] = []
    while len(shown) < count:
        each = scene(dice, with_fonts)
        question, answer = exchanges(dice, each)[0]
        file = BytesIO()
        each.image.save(file, "PNG")
        shown.append(Shown(file.getvalue(), question, answer, kind_of(question)))
    return shown


def kind_of(question: str) -> str:
    kinds = ("color", "count", "number", "place", "shape")
    return next(kind for kind in kinds if kind in question)


def ask(residency: Residency, model: str, shown: Shown) -> str:
    parts = (Image(shown.png), Text(shown.question))
    request = GenerateRequest(
        model=model, prompt=(Message("user", parts),), sampling=GREEDY, max_tokens=LONGEST_REPLY
    )
    events: SimpleQueue[Event] = SimpleQueue()
    residency.submit(request, events.put, origin=Origin("command", client="sight_evaluate"))
    said = ""
    while not isinstance(event := events.get(), Finished | Failed):
        said += event.text if isinstance(event, TextDelta) else ""
    return said if isinstance(event, Finished) else str(event.error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--fonts", type=Path)
    options = parser.parse_args()
    asked = held_out(options.pictures, fonts(options.fonts))
    replies: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home, open_everything(Path(home)) as services:
        for model in services.store.list():
            if model.builtin:
                replies[model.kind] = [
                    ask(services.residency, str(model.name), each) for each in asked
                ]
    show(asked, replies)


def show(asked: list[Shown], replies: dict[str, list[str]]) -> None:
    print(f"{'':14}" + "".join(f"{kind:>18}" for kind in replies))
    for kind in sorted({each.kind for each in asked}):
        print(
            f"{kind:14}" + "".join(_share(_right(asked, each, kind)) for each in replies.values())
        )
    everything = [_right(asked, each) for each in replies.values()]
    print(f"{'right':14}" + "".join(map(_share, everything)) + f"   goal {GOAL} %")
    if len(replies) > 1:
        same = [one == other for one, other in zip(*replies.values(), strict=True)]
        print(f"{'same answer':14}{_share(same)}   goal {AGREEMENT_GOAL} %")


def _right(asked: list[Shown], said: list[str], kind: str = "") -> list[bool]:
    return [
        each.answer == reply
        for each, reply in zip(asked, said, strict=True)
        if kind in ("", each.kind)
    ]


def _share(right: list[bool]) -> str:
    return f"{sum(right):>6}/{len(right)} {100 * sum(right) / len(right):5.1f} %"


if __name__ == "__main__":
    main()
