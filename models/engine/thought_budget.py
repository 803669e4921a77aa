"""A thought that may have so many tokens: when its end is due, and what ends it."""

import codecs
from dataclasses import dataclass

from models.chat import GenerateRequest
from models.engine.tokenizer import Tokenizer
from models.model_family import ModelFamily

_LONGEST_CHARACTER = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtBudget:
    """What the first thought of an answer may come to."""

    tokens: int
    begun: bool  # the prompt ends in it
    begin: str  # the tag that begins one
    ends: tuple[str, ...]  # what ends one: its own tag, and those of calls
    closing: str  # what is written for the model where it does not end
    closing_tokens: tuple[int, ...]


def budget_of(
    request: GenerateRequest, family: ModelFamily, tokenizer: Tokenizer, *, begun: bool
) -> ThoughtBudget | None:
    """Return None where none is asked for, or the model does not think.

    Raises:
        ModelCrashed: the tokenizer has gone with its process.
    """
    thoughts = family.thoughts
    if request.thinking_budget is None or thoughts is None:
        return None
    calls = family.calls.begins if family.calls and request.tools else ()
    (closing_tokens,) = tokenizer.encode_each([thoughts.closing])
    return ThoughtBudget(
        tokens=request.thinking_budget,
        begun=begun,
        begin=thoughts.begin,
        ends=(thoughts.end, *calls),
        closing=thoughts.closing,
        closing_tokens=tuple(closing_tokens),
    )


class ThoughtWatch:
    """Reads an answer from its beginning, to tell when its thought has been long enough."""

    def __init__(self, budget: ThoughtBudget) -> None:
        self.over = False  # no end is due any more
        self._budget = budget
        self._thinking = budget.begun
        self._tokens = 0  # of the thought
        self._text = b""  # before a thought all of it, in one the end of it
        self._ends = tuple(each.encode() for each in budget.ends)
        self._kept = max(_LONGEST_CHARACTER, *map(len, self._ends))

    def take(self, piece: bytes, tokens: int) -> None:
        """Read more of it."""
        if self.over:
            return
        self._text += piece
        if self._thinking:
            self._tokens += tokens
            self.over = self._has_end(self._text)
            self._text = self._text[-self._kept :]
        else:
            self._look_for_begin()

    def may_be_due(self, tokens: int) -> bool:
        """Whether the end is due behind so many more tokens, unless the model has ended it."""
        return self._thinking and not self.over and self._tokens + tokens >= self._budget.tokens

    def is_due(self, piece: bytes = b"", tokens: int = 0) -> bool:
        """Whether the end is due behind what is read next; never in the middle of a character."""
        text = self._text + piece
        return self.may_be_due(tokens) and not self._has_end(text) and _is_whole(text)

    def _has_end(self, text: bytes) -> bool:
        return any(each in text for each in self._ends)

    def _look_for_begin(self) -> None:
        begin, text = self._budget.begin.encode(), self._text.lstrip()
        if text.startswith(begin):
            self._thinking, self._text = True, b""
        elif not begin.startswith(text):
            self.over = True  # it answers without one


def _is_whole(text: bytes) -> bool:
    """Whether no character is begun at the end of a text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(text)
    return not decoder.getstate()[0]
