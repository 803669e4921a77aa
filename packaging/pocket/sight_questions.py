"""What is said of a picture, in words that stand where it was; what can be asked, and the answers.

The text model answers a question after one of several pairs, such as "color: red, count: 1.":
it has learned that of texts. So the eyes put what they see in just such words, as embeddings.
"""

# pyright: strict

from collections import Counter
from dataclasses import dataclass, replace

from sight_figures import Figure, Scene
from sight_wordings import (
    COLOR,
    COLOR_OF,
    COUNT,
    DESCRIPTION,
    NUMBER,
    PLACE,
    PLACE_OF,
    SHAPE,
    typed,
)
from words import Dice


@dataclass(frozen=True, slots=True)
class Exchange:
    kind: str
    question: str
    answer: str


WIDTHS = (9, 9, 12, 4)  # tokens of each pair; what is left of them, and a missing pair, is commas
END = ". "
# Where a token is to end that would go on: the text model copies these words better in pieces.
SPELLED = {"shape: triangle": "shape: tri|an|gle", "right": "r|i|gh|t"}
MOST_TOLD = 3  # figures; of more only the count is told
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")


def pairs(scene: Scene) -> list[str]:
    """Return the pairs, with a mark where a token is to end."""
    told = _pairs(scene)
    for word, spelled in SPELLED.items():
        told = [each.replace(word, spelled) for each in told]
    return told


def _pairs(scene: Scene) -> list[str]:
    figures = _in_reading_order(scene.figures)
    count = f"count: {len(figures)}"
    if scene.number:
        return [f"number: {scene.number},", f"color: {figures[0].color},", "", ""]
    if len(figures) > MOST_TOLD:
        return ["", "", "", count]
    if len(figures) > 1:
        told = [f"{each.name}: {each.color}," for each in figures]
        return [*told, *[""] * (MOST_TOLD - len(told)), count]
    (one,) = figures
    return [f"shape: {one.name},", f"color: {one.color},", f"place: {place_of(one)},", count]


def exchanges(dice: Dice, scene: Scene) -> list[Exchange]:
    """Return what can be asked, in no order; nothing to which there would be two answers."""
    figures = scene.figures
    if scene.number:
        asked = dice.pick(DESCRIPTION if dice.chance(0.2) else NUMBER)
        found = [
            Exchange("number", asked, scene.number),
            Exchange("color", _color(dice, "number"), figures[0].color),
        ]
    elif len(figures) == 1:
        found = [_count(dice, figures), *_of_one(dice, figures[0])]
    else:
        found = [_count(dice, figures)]
        if len(figures) <= MOST_TOLD:
            found += _of_several(dice, figures)
    return dice.shuffled([replace(each, question=typed(dice, each.question)) for each in found])


def _count(dice: Dice, figures: tuple[Figure, ...]) -> Exchange:
    return Exchange("count", dice.pick(COUNT), str(len(figures)))


def _of_one(dice: Dice, one: Figure) -> list[Exchange]:
    where = dice.pick(PLACE_OF).format(one.name) if dice.chance(0.2) else dice.pick(PLACE)
    return [
        Exchange("color", _color(dice, one.name), one.color),
        Exchange("shape", dice.pick(SHAPE), one.name),
        Exchange("shape", dice.pick(DESCRIPTION), one.name),
        Exchange("place", where, place_of(one)),
    ]


def _of_several(dice: Dice, figures: tuple[Figure, ...]) -> list[Exchange]:
    names = Counter(each.name for each in figures)
    return [
        Exchange("color of one", dice.pick(COLOR_OF).format(each.name), each.color)
        for each in figures
        if names[each.name] == 1
    ]


def _color(dice: Dice, of: str) -> str:
    return dice.pick(COLOR_OF).format(of) if dice.chance(0.2) else dice.pick(COLOR)


def place_of(figure: Figure) -> str:
    """Return where a figure is, such as "top left"."""
    row, column = _ROWS[int(figure.y * 3)], _COLUMNS[int(figure.x * 3)]
    if row == column:
        return "middle"
    return " ".join(each for each in (row, column) if each != "middle")


def _in_reading_order(figures: tuple[Figure, ...]) -> list[Figure]:
    return sorted(figures, key=lambda each: (int(each.y * 3), each.x))
