"""Dialogues as rows of tokens, batched by length, with the weight of each token in the loss."""

# The types of tokenizers and torch are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from data import TEMPLATE, Dialogue, compile_template, dialogues, render
from tokenizers import Tokenizer
from torch import Tensor
from words import Dice

PROMPT_WEIGHT = 0.03  # of a token that the model only reads: it teaches what text is like
LONGEST = 768


@dataclass(frozen=True, slots=True)
class Row:
    tokens: list[int]
    spoken: list[bool]  # what the model says: the replies, each with its end
    kind: str


@dataclass(frozen=True, slots=True)
class Batch:
    tokens: Tensor  # (rows, length)
    weights: Tensor  # (rows, length): of each token as a prediction; 0 for padding


class Reader:
    """Turns dialogues into rows."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._template = compile_template(TEMPLATE.read_text())
        self._start = self._id("<|im_start|>")
        self._end = self._id("<|im_end|>")
        self._speaks: list[int] = self.tokenizer.encode("assistant\n").ids

    def rows(self, seed: int, count: int, copying: float = 0.0) -> list[Row]:
        made = list(islice(dialogues(seed, copying), count))
        texts = [render(self._template, each) for each in made]
        encoded = self.tokenizer.encode_batch(texts)
        rows = [self._row(each.ids, one) for each, one in zip(encoded, made, strict=True)]
        return [each for each in rows if len(each.tokens) <= LONGEST]

    def _row(self, tokens: list[int], dialogue: Dialogue) -> Row:
        starts = [
            index + 1 + len(self._speaks)
            for index, token in enumerate(tokens)
            if token == self._start
            and tokens[index + 1 : index + 1 + len(self._speaks)] == self._speaks
        ]
        if dialogue.thinking:  # earlier replies stand there without their thoughts
            starts = starts[-1:]
        spoken = [False] * len(tokens)
        for start in starts:
            end = tokens.index(self._end, start) + 1
            spoken[start:end] = [True] * (end - start)
        return Row(tokens, spoken, dialogue.kind)

    def _id(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        assert found is not None
        return found


def batches(rows: list[Row], size: int, seed: int) -> Iterator[Batch]:
    """Yield all rows in batches of about ``size`` tokens, rows of like length together."""
    dice = Dice(seed)
    ordered = sorted(rows, key=lambda row: len(row.tokens) + 16 * dice.random())
    groups: list[list[Row]] = [[]]
    longest = 0
    for row in ordered:
        longest = max(longest, len(row.tokens))
        if longest * (len(groups[-1]) + 1) > size:
            groups.append([])
            longest = len(row.tokens)
        groups[-1].append(row)
    for group in dice.shuffled(groups):
        yield batch(group)


def batch(rows: list[Row]) -> Batch:
    length = max(len(row.tokens) for row in rows)
    tokens = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for index, row in enumerate(rows):
        tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
        spoken = torch.tensor(row.spoken).float()
        weights[index, : len(row.tokens)] = spoken + PROMPT_WEIGHT * (1 - spoken)
    return Batch(tokens, weights)


def echoes(vocabulary: int, seed: int, size: int, length: int = 48) -> Batch:
    """Return rows of random tokens said twice: nothing else teaches copying as fast."""
    random = torch.Generator().manual_seed(seed)
    rows = size // (2 * length)
    once = torch.randint(9, vocabulary, (rows, length), generator=random)
    weights = torch.zeros(rows, 2 * length)
    weights[:, length + 1 :] = 1
    return Batch(torch.cat([once, once], 1), weights)
