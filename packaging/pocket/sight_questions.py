"""What is said of a picture, in words that stand where it was; what can be asked, and the answers.

The text model answers a question after one of several pairs, such as "color: red, count: 1.":
it has learned that of texts. So the eyes put what they see in just such words, as embeddings.
"""

# pyright: strict

from collections import Counter

from sight_figures import Figure, Scene
from words import Dice

Exchange = tuple[str, str]  # a question, its answer

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
    """Return what can be asked, in no order."""
    figures = scene.figures
    color = dice.pick(["What is the color?", "Tell me the color."])
    if scene.number:
        return dice.shuffled([
            (dice.pick(["What is the number?", "Tell me the number."]), scene.number),
            (color, figures[0].color),
        ])  # fmt: skip
    found = [(dice.pick(["What is the count?", "Tell me the count."]), str(len(figures)))]
    if len(figures) == 1:
        (one,) = figures
        found.append((color, one.color))
        found.append((dice.pick(["What is the shape?", "Tell me the shape."]), one.name))
        found.append((dice.pick(["What is the place?", "Tell me the place."]), place_of(one)))
    elif len(figures) <= MOST_TOLD:
        shapes = Counter(each.name for each in figures)
        found += [
            (f"What color is the {each.name}?", each.color)
            for each in figures
            if shapes[each.name] == 1
        ]
    return dice.shuffled(found)


def place_of(figure: Figure) -> str:
    """Return where a figure is, such as "top left"."""
    row, column = _ROWS[int(figure.y * 3)], _COLUMNS[int(figure.x * 3)]
    if row == column:
        return "middle"
    return " ".join(each for each in (row, column) if each != "middle")


def _in_reading_order(figures: tuple[Figure, ...]) -> list[Figure]:
    return sorted(figures, key=lambda each: (int(each.y * 3), each.x))
