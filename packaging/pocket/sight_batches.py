"""Pictures with what is said of them, as batches: pixels, tokens, and what stands at each patch."""

# The types of tokenizers and torch are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sight_figures import COLORS, MOST_FIGURES, SHAPES, Figure, Scene, scene
from sight_network import SightShape
from sight_pixels import roughly
from sight_questions import END, WIDTHS, pairs
from tokenizers import Tokenizer
from torch import Tensor
from words import Dice

# What is known at each patch: what is there, its colour; and of the whole picture, how many
# figures it has, and the first and second digit of its number.
THINGS = ["", *SHAPES, *"0123456789"]
THEIR_COLORS = ["", *COLORS]
DIGITS = ["", *"0123456789"]
KNOWN = {
    "thing": THINGS,
    "color": THEIR_COLORS,
    "count": ["", *(str(1 + each) for each in range(MOST_FIGURES))],
    "first digit": DIGITS,
    "second digit": DIGITS,
}


@dataclass(frozen=True, slots=True)
class SightBatch:
    pictures: Tensor  # (rows, 3, side, side)
    known: Tensor  # (rows, patches, len(KNOWN))
    said: Tensor  # (rows, patches): the token that stands at each patch's place in the prompt


class SightReader:
    def __init__(self, tokenizer: Path, shape: SightShape, fonts: list[str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._shape = shape
        self._fonts = fonts

    def batch(self, dice: Dice, size: int) -> SightBatch:
        return self.seen(dice, [scene(dice, self._fonts) for _ in range(size)])

    def seen(self, dice: Dice, scenes: list[Scene]) -> SightBatch:
        side = self._shape.side
        return SightBatch(
            torch.from_numpy(np.stack([roughly(dice, each.image, side) for each in scenes])),
            torch.tensor([self._known(each) for each in scenes]),
            torch.tensor([self.said(each) for each in scenes]),
        )

    def said(self, scene: Scene) -> list[int]:
        """Return the tokens of what is said of a picture, as many as it has patches."""
        (comma,) = self.ids(",")
        said: list[int] = []
        for pair, width in zip(pairs(scene), WIDTHS, strict=True):
            tokens = [token for piece in pair.split("|") for token in self.ids(piece)]
            assert len(tokens) <= width, pair
            said += tokens + [comma] * (width - len(tokens))
        said += self.ids(END)
        assert len(said) == self._shape.patches
        return said

    def ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _known(self, scene: Scene) -> list[list[int]]:
        across = self._shape.side // self._shape.patch
        count = 0 if scene.number else len(scene.figures)
        digits = [DIGITS.index(each) for each in scene.number]
        whole = [count, *digits, *[0] * (2 - len(digits))]
        width, height = scene.size
        longest = max(width, height)
        known: list[list[int]] = []
        for patch in range(self._shape.patches):
            row, column = divmod(patch, across)
            x = ((column + 0.5) / across - 0.5) * longest / width + 0.5
            y = ((row + 0.5) / across - 0.5) * longest / height + 0.5
            there = [each for each in scene.figures if _covers(each, x, y, across)]
            thing, color = (there[0].name, there[0].color) if there else ("", "")
            known.append([THINGS.index(thing), THEIR_COLORS.index(color), *whole])
        return known


def _covers(figure: Figure, x: float, y: float, across: int) -> bool:
    """Say whether a figure is at a patch's middle, or near it, where the figure is small."""
    wide, high = max(figure.width * 0.45, 0.5 / across), max(figure.height * 0.45, 0.5 / across)
    return abs(x - figure.x) <= wide and abs(y - figure.y) <= high
