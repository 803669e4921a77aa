"""Chats about pictures as batches: tokens, the pictures among them, and what is to be said."""

# The types of tokenizers and torch are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from dataclasses import dataclass

import torch
from batches import Reader, Row
from sight_batches import SightBatch, SightReader
from sight_chats import PICTURE, chat
from sight_figures import Scene
from sight_learner import TEXT_MODEL
from sight_network import SightShape
from torch import Tensor
from words import Dice

TOGETHER = 4  # chats that go through the text model at once, those of about the same length


@dataclass(frozen=True, slots=True)
class Heard:
    """Some chats of about the same length."""

    tokens: Tensor  # (rows, length)
    places: Tensor  # (rows, length): whether a picture's token stands there
    weights: Tensor  # (rows, length): of each token as a prediction
    pictures: int  # how many they have


@dataclass(frozen=True, slots=True)
class ChatBatch:
    seen: SightBatch
    heard: list[Heard]  # which have its pictures one after the other
    rows: list[Row]


class ChatReader:
    def __init__(self, shape: SightShape, with_fonts: list[str]) -> None:
        self._fonts = with_fonts
        self._patches = shape.patches
        self._sight = SightReader(TEXT_MODEL / "tokenizer.json", shape, with_fonts)
        self._text = Reader(TEXT_MODEL)
        (self._picture,) = self._sight.ids(PICTURE)
        (self._filling,) = self._sight.ids("<|im_end|>")

    def batch(self, dice: Dice, size: int) -> ChatBatch:
        made = [chat(dice, self._fonts, self._patches) for _ in range(size)]
        read = [(self._text.row(each.dialogue), each.scenes) for each in made]
        read.sort(key=lambda each: len(each[0].tokens))  # so that few places are filled
        heard = [self._heard(read[begin : begin + TOGETHER]) for begin in range(0, size, TOGETHER)]
        seen = self._sight.seen(dice, [each for _, scenes in read for each in scenes])
        return ChatBatch(seen, heard, [row for row, _ in read])

    def _heard(self, read: list[tuple[Row, list[Scene]]]) -> Heard:
        length = max(len(row.tokens) for row, _ in read)
        tokens = torch.full((len(read), length), self._filling)
        weights = torch.zeros(len(read), length)
        for index, (row, _) in enumerate(read):
            tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
            weights[index, : len(row.tokens)] = _weights(row)
        pictures = sum(len(scenes) for _, scenes in read)
        return Heard(tokens, tokens == self._picture, weights, pictures)


def _weights(row: Row) -> Tensor:
    """Return 1 where the last reply stands, with its end."""
    spoken = torch.tensor(row.spoken)
    last_heard = int((~spoken[: int(spoken.nonzero().max())]).nonzero().max())
    spoken[:last_heard] = False
    return spoken.float()
