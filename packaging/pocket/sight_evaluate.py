"""Shows the finished model pictures that training never had, on both engines; prints two tables.

    sight_evaluate.py [--pictures N] [--fonts FOLDER]

A question a picture, put in each way in which a chat can have the two, with thinking off and on,
through all of the program that a person's question goes through. FOLDER has the .ttf files that
numbers are printed in, beside Pillow's own. Run by the product's own environment, as evaluate.py
is.
"""

# pyright: strict

import argparse
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue

import talk
from sight_figures import Scene, fonts, scene
from sight_questions import Exchange, exchanges
from sight_wordings import INTRODUCTIONS
from words import Dice

from app.services import open_everything
from models import chat
from models.chat import GenerateRequest, Image, Message, Origin, SamplingParams, Text
from models.events import Event, Failed, Finished, TextDelta
from models.residency import Residency

HELD_OUT = 70_000_001  # a seed that training has not seen
LONGEST_REPLY = 60  # tokens
GOAL, AGREEMENT_GOAL = 90, 95  # per cent
GREEDY = SamplingParams(temperature=0.0, repeat_penalty=1.0)
WAYS = ("before", "behind", "between", "after talk", "second question", "second picture")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question after one picture, and the same in a chat."""

    kind: str
    answer: str
    ways: dict[str, tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    asked: Asked
    way: str
    thinking: bool
    replies: tuple[str, ...]  # of each engine

    def right(self, engine: int) -> bool:
        return self.replies[engine] == self.asked.answer

    @property
    def same(self) -> bool:
        return len(set(self.replies)) == 1


def held_out(count: int, with_fonts: list[str]) -> list[Asked]:
    dice = Dice(HELD_OUT)
    return [asked(dice, with_fonts) for _ in range(count)]


def asked(dice: Dice, with_fonts: list[str]) -> Asked:
    shown, earlier = scene(dice, with_fonts), scene(dice, with_fonts)
    image, found = picture(shown), exchanges(dice, shown)
    one, other = found[0], found[-1]
    question = Text(one.question)
    before = Message("user", (image, question))
    behind = Message("user", (question, image))
    ways = {
        "before": (before,),
        "behind": (behind,),
        "between": (Message("user", (Text(dice.pick(INTRODUCTIONS)), image, question)),),
        "after talk": (*talked(dice), behind),
        "second question": (*answered(image, other), chat.user(one.question)),
        "second picture": (*answered(picture(earlier), exchanges(dice, earlier)[0]), before),
    }
    return Asked(one.kind, one.answer, ways)


def picture(scene: Scene) -> Image:
    file = BytesIO()
    scene.image.save(file, "PNG")
    return Image(file.getvalue())


def talked(dice: Dice) -> tuple[Message, ...]:
    turn = talk.easy(dice)
    return chat.user(turn.asked), chat.assistant(turn.reply)


def answered(image: Image, exchange: Exchange) -> tuple[Message, ...]:
    return Message("user", (image, Text(exchange.question))), chat.assistant(exchange.answer)


def ask(residency: Residency, model: str, prompt: tuple[Message, ...], *, thinking: bool) -> str:
    request = GenerateRequest(
        model=model, prompt=prompt, thinking=thinking, sampling=GREEDY, max_tokens=LONGEST_REPLY
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
    everything = [
        (each, way, thinking)
        for each in held_out(options.pictures, fonts(options.fonts))
        for way in WAYS
        for thinking in (False, True)
    ]
    replies: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home, open_everything(Path(home)) as services:
        for model in services.store.list():
            if model.builtin:
                replies[model.kind] = [
                    ask(services.residency, str(model.name), each.ways[way], thinking=thinking)
                    for each, way, thinking in everything
                ]
    rows = [
        Row(*row, said)
        for row, said in zip(everything, zip(*replies.values(), strict=True), strict=True)
    ]
    show(rows, list(replies), lambda row: f"{row.way}{', thinking' * row.thinking}")
    show(rows, list(replies), lambda row: row.asked.kind)
    print(f"goal: {GOAL} % right in each way, {AGREEMENT_GOAL} % the same on both")


def show(rows: list[Row], engines: list[str], name: Callable[[Row], str]) -> None:
    print(f"\n{'':26}" + "".join(f"{each:>19}" for each in (*engines, "the same")))
    for kind in dict.fromkeys(map(name, rows)):
        of_kind = [row for row in rows if name(row) == kind]
        shares = [share(row.right(each) for row in of_kind) for each in range(len(engines))]
        print(f"{kind:26}" + "".join(shares) + share(row.same for row in of_kind))


def share(each: Iterable[bool]) -> str:
    good = list(each)
    return f"{sum(good):>8}/{len(good)} {100 * sum(good) / len(good):5.1f} %"


if __name__ == "__main__":
    main()
