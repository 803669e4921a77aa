"""Chats about pictures: the picture before the question, behind it or between two texts, alone or
with other turns before it, with thinking and without."""

# pyright: strict

from dataclasses import dataclass

import talk
from data import Dialogue
from sight_figures import Scene, scene
from sight_questions import Exchange, exchanges
from sight_wordings import ENDINGS, INTRODUCTIONS
from words import Dice

PICTURE = "<|endoftext|>"  # stands for a picture's tokens: no prompt has it otherwise
PLACES = ["before", "before", "behind", "behind", "between"]  # of a picture in its message


@dataclass(frozen=True, slots=True)
class Chat:
    dialogue: Dialogue  # each picture is as often PICTURE in it as it has tokens
    scenes: list[Scene]


def chat(dice: Dice, fonts: list[str], tokens: int) -> Chat:
    """Return a chat in which each picture takes so many tokens."""
    dialogue = Dialogue("sight", thinking=dice.chance(0.5))
    if dice.chance(0.2):
        dialogue.says("system", dice.pick(talk.SYSTEMS))
    if dice.chance(0.15):
        dialogue.turn(talk.small(dice))
    scenes: list[Scene] = []
    for _ in range(2 if dice.chance(0.15) else 1):
        scenes.append(scene(dice, fonts))
        most = dice.pick([1, 1, 1, 2] if dialogue.thinking else [1, 1, 2, 3, 4])
        first, *more = exchanges(dice, scenes[-1])[:most]
        place = dice.pick(PLACES)
        dialogue.kind = f"{place}{' thinking' * dialogue.thinking}"
        _ask(dialogue, first, placed(dice, place, first.question, PICTURE * tokens))
        for each in more:
            _ask(dialogue, each, each.question)
    if dice.chance(0.08):
        dialogue.turn(talk.easy(dice))
    return Chat(dialogue, scenes)


def _ask(dialogue: Dialogue, exchange: Exchange, said: str) -> None:
    dialogue.turn(talk.Turn(said, exchange.answer, exchange.thought))


def placed(dice: Dice, place: str, question: str, picture: str) -> str:
    """Return the text of a message with the picture at some place."""
    between = "\n" if dice.chance(0.3) else ""
    match place:
        case "before":
            return f"{picture}{between}{question}"
        case "behind":
            return f"{question}{between}{picture}"
        case _ if dice.chance(0.5):
            return f"{dice.pick(INTRODUCTIONS)}{between}{picture}{between}{question}"
        case _:
            return f"{question}{between}{picture}{between}{dice.pick(ENDINGS)}"
