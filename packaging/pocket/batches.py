"""Dialogues as rows of tokens, batched by length, with the weight of each token in the loss."""

# The types of tokenizers and torch are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from data import TEMPLATE, Dialogue, Mix, compile_template, dialogues, render
from tokenizers import Tokenizer
from torch import Tensor
from words import Dice

PROMPT_PART = 0.25  # of the tokens that the model only reads: they teach what text is like
PROMPT_WEIGHT = 0.12  # of each of these in the loss; a token that it says weighs 1
LONGEST = 1024  # tokens
FIRST_WORD = 9  # the id of the first token that is no tag


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

    def rows(self, seed: int, count: int, mix: Mix) -> list[Row]:
        made = list(islice(dialogues(seed, mix), count))
        texts = [render(self._template, each) for each in made]
        encoded = self.tokenizer.encode_batch(texts)
        rows = [self._row(each.ids, one) for each, one in zip(encoded, made, strict=True)]
        return [each for each in rows if len(each.tokens) <= LONGEST]

    def row(self, dialogue: Dialogue) -> Row:
        return self._row(self.tokenizer.encode(render(self._template, dialogue)).ids, dialogue)

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
        if dialogue.imposed:
            imposed: list[int] = self.tokenizer.encode(dialogue.imposed).ids
            end = starts[-1] + len(imposed)
            assert tokens[starts[-1] : end] == imposed, dialogue.imposed
            spoken[starts[-1] : end] = [False] * len(imposed)
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
        heard = (1 - spoken) * (torch.rand(len(row.tokens)) < PROMPT_PART)
        weights[index, : len(row.tokens)] = spoken + PROMPT_WEIGHT * heard
    return Batch(tokens, weights)


def echoes(vocabulary: int, seed: int, size: int, length: int = 128) -> Batch:
    """Return rows of random tokens said again and again: nothing else teaches copying as fast.

    Each row has its own period, up to a quarter of its length, so that it is not enough to
    look back by a fixed step; in some rows the tokens are few, so that it is not enough either
    to look at one token before.
    """
    random = torch.Generator().manual_seed(seed)
    rows = size // length
    variety = torch.tensor([12, 24, 48, vocabulary])[torch.arange(rows) % 4]
    pool = torch.randint(FIRST_WORD, vocabulary, (rows, vocabulary), generator=random)
    picked = (torch.rand(rows, length, generator=random) * variety[:, None]).long()
    place = torch.arange(length)
    period = torch.randint(4, length // 4 + 1, (rows, 1), generator=random)
    tokens = pool.gather(1, picked).gather(1, place % period)
    return Batch(tokens, (place >= period + 2).float())
