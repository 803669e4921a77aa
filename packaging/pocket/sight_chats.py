"""Chats about pictures: alone, with other turns before, with a second question, a second picture.

The chat template puts the last picture before the last question, and asks for no thought then.
"""

# pyright: strict

from dataclasses import dataclass

import talk
from data import Dialogue
from sight_figures import Scene, scene
from sight_questions import Exchange, exchanges
from sight_wordings import ENDINGS, INTRODUCTIONS
from words import Dice

KINDS = [
    *["alone"] * 6, "after talk", "second question", "second question", "second picture",
    "another matter",
]  # fmt: skip
PICTURE = "<|endoftext|>"  # stands for a picture's tokens: no prompt has it otherwise


@dataclass(frozen=True, slots=True)
class Chat:
    dialogue: Dialogue  # each picture is as often PICTURE in it as it has tokens
    scenes: list[Scene]


def chat(dice: Dice, fonts: list[str], tokens: int) -> Chat:
    """Return a chat in which each picture takes so many tokens. Its last reply is to be learned."""
    dialogue = Dialogue(dice.pick(KINDS))
    if dice.chance(0.15):
        dialogue.says("system", dice.pick(talk.SYSTEMS))
    shown, picture = _shown(dice, fonts), PICTURE * tokens
    scenes = [shown]
    asked, *others = exchanges(dice, shown)
    question, answer = _wrapped(dice, asked.question), asked.answer
    match dialogue.kind:
        case "after talk":
            dialogue.turn(talk.small(dice))
        case "second question":
            _tell(dialogue, others[:2] if dice.chance(0.3) else others[:1])
        case "second picture":
            earlier = _shown(dice, fonts)
            scenes = [earlier, shown]
            _tell(dialogue, exchanges(dice, earlier)[:1], picture)
        case "another matter":
            _tell(dialogue, [asked])
            turn = talk.easy(dice)
            question, answer = turn.asked, turn.reply
        case _:
            pass
    dialogue.turn(talk.Turn(picture + question, answer, ""))
    return Chat(dialogue, scenes)


def _tell(dialogue: Dialogue, told: list[Exchange], picture: str = "") -> None:
    for each in told:
        dialogue.turn(talk.Turn(picture + each.question, each.answer, ""))


def _shown(dice: Dice, fonts: list[str]) -> Scene:
    """Return a picture; of one figure there is the most to ask."""
    while True:
        shown = scene(dice, fonts)
        if shown.number or len(shown.figures) == 1 or dice.chance(0.4):
            return shown


def _wrapped(dice: Dice, question: str) -> str:
    """Return a question, now and then with another text, which stood beyond the picture."""
    if dice.chance(0.15):
        return f"{dice.pick(INTRODUCTIONS)}\n{question}"
    if dice.chance(0.1):
        return f"{question}\n{dice.pick(ENDINGS)}"
    return question
