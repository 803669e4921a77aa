"""Thoughts that may have so many tokens: when the end of one is due, and what ends it."""

import codecs
from dataclasses import dataclass

from models.chat import GenerateRequest
from models.engine.tokenizer import Tokenizer
from models.model_family import ModelFamily

_LONGEST_CHARACTER = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtBudget:
    """What all thoughts of an answer may come to."""

    tokens: int
    begun: bool  # the prompt ends in it
    begin: str  # the tag that begins one
    ends: tuple[str, ...]  # what ends one: its own tag, and those of calls
    unseen: tuple[str, ...] = ()  # tags that say nothing: behind them, too, a thought may begin
    anywhere: bool = False  # one may begin behind what has been said
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
        unseen=(thoughts.end, *thoughts.around),
        anywhere=family.calls is not None and family.calls.routed,
        closing=thoughts.closing,
        closing_tokens=tuple(closing_tokens),
    )


class ThoughtWatch:
    """Reads an answer from its beginning, to tell when its thoughts have been long enough."""

    def __init__(self, budget: ThoughtBudget) -> None:
        self.over = False  # no end is due any more
        self._budget = budget
        self._thinking = budget.begun
        self._tokens = 0  # of all thoughts
        self._text = b""  # what is still to be looked through
        self._begin = budget.begin.encode()
        self._ends = tuple(each.encode() for each in budget.ends)
        self._unseen = tuple(each.encode() for each in budget.unseen)
        self._kept = max(_LONGEST_CHARACTER, len(self._begin), *map(len, self._ends))

    def take(self, piece: bytes, tokens: int) -> None:
        """Read more of it."""
        if self.over:
            return
        self._text += piece
        if self._thinking:
            self._tokens += tokens
        while self._find_end() if self._thinking else self._find_begin():
            self._thinking = not self._thinking
        if self._thinking or self._budget.anywhere:
            self._text = self._text[-self._kept :]

    def may_be_due(self, tokens: int) -> bool:
        """Whether the end is due behind so many more tokens, unless the model has ended it."""
        return self._thinking and not self.over and self._tokens + tokens >= self._budget.tokens

    def is_due(self, piece: bytes = b"", tokens: int = 0) -> bool:
        """Whether the end is due behind what is read next; never in the middle of a character."""
        text = self._text + piece
        return self.may_be_due(tokens) and not _first(text, self._ends) and _is_whole(text)

    def _find_end(self) -> bool:
        end = _first(self._text, self._ends)
        self._text = self._text[end:]
        return bool(end)

    def _find_begin(self) -> bool:
        if self._budget.anywhere:
            begin = _first(self._text, (self._begin,))
        else:
            self._pass_over_unseen()
            begin = len(self._begin) if self._text.startswith(self._begin) else 0
            to_come = (self._begin, *self._unseen)
            self.over = not begin and not any(each.startswith(self._text) for each in to_come)
        self._text = self._text[begin:]
        return bool(begin)

    def _pass_over_unseen(self) -> None:
        self._text = self._text.lstrip()
        while found := next(filter(self._text.startswith, self._unseen), None):
            self._text = self._text.removeprefix(found).lstrip()


def _first(text: bytes, tags: tuple[bytes, ...]) -> int:
    """Return where the first of some tags ends; 0: there is none."""
    places = [(text.find(each), len(each)) for each in tags if each in text]
    return sum(min(places, default=(0, 0)))


def _is_whole(text: bytes) -> bool:
    """Whether no character is begun at the end of a text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(text)
    return not decoder.getstate()[0]
