"""The seam of tokenizers, and where a long text may be cut without changing its ids."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias, TypeVar

from models.errors import InvalidRequest
from models.spelling import Spelled

_T = TypeVar("_T")

PIECE_CHARACTERS = 1 << 15
_LOOKED_BACK = 4096  # characters, for a place to cut at

# A space between two words. Behind a bracket could be a special token that swallows it.
_SPACE = re.compile(r"(?<=[\w.,;:!?]) (?=\w)")
# In a run without any: where no special token is near.
_NOWHERE = re.compile(r"[^<>\[\]{}|]{64}")

# Common words in common order: what some vocabularies have as one token, spaces and all.
_SAMPLE = (
    "One of the most important things: by the way, I am going to ask 12 people in New York "
    "about it. It is a matter of fact, as far as I know; on the other hand 你好 世界 and so on!"
)


class Tokenizer(Protocol):
    """A model's own tokenizer. Any thread may call it; it gives up the GIL while it works."""

    @property
    def longest_token_bytes(self) -> int:
        """A text of n bytes has at least n / this many tokens."""
        ...

    @property
    def cuts_cleanly(self) -> bool:
        """Whether text cut before a space gives the same ids as the whole.

        Raises:
            ModelCrashed: the tokenizer has gone with its process, as in all of these.
        """
        ...

    @property
    def bos(self) -> int | None:
        """What a plain prompt gets in front, where the model wants it. None: nothing."""
        ...

    @property
    def around(self) -> "Around":
        """What a text to embed gets in front and behind: [CLS] and [SEP], of BERT."""
        ...

    def encode(self, text: str) -> list[int]:
        """Special tokens in the text are recognised; none are added.

        Raises:
            ModelCrashed
        """
        ...

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        """Do it for many short texts, which may take less than one after another.

        Raises:
            ModelCrashed
        """
        ...


class SpellingTokenizer(Tokenizer, Protocol):
    """One that can also show its tokens."""

    def spell(self, text: str, *, add_special: bool, parse_special: bool) -> list[Spelled]:
        """As ``models.spelling.Spelling.tokens``. Raises ModelCrashed."""
        ...

    def text_of(self, ids: Sequence[int]) -> str:
        """As ``models.spelling.Spelling.text``. Raises InvalidRequest, ModelCrashed."""
        ...


Around: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]


def around_of(whole: Sequence[_T], bare: Sequence[_T]) -> tuple[tuple[_T, ...], tuple[_T, ...]]:
    """Return what is in front of a text and behind it, by its tokens with that and without."""
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return tuple(whole[:start]), tuple(whole[start + len(bare) :])
    return (), ()


def no_such_token(id: int) -> InvalidRequest:
    return InvalidRequest(f"There is no token {id} in this model's vocabulary.", field="tokens")


class Joint(StrEnum):
    """How a text must be cut before a space so that its pieces give the ids of the whole."""

    SPACE_STAYS = "stays"  # "one", " two": byte-pair vocabularies
    SPACE_GOES = "goes"  # "one", "two": SentencePiece ones, which put a space before each
    NONE = "none"  # some token goes over spaces


def joint_of(encode_all: Callable[[Sequence[str]], list[int]]) -> Joint:
    """Find out by trying; ``encode_all`` gives the ids of several texts, one after another."""
    whole = encode_all([_SAMPLE])
    for joint in (Joint.SPACE_STAYS, Joint.SPACE_GOES):
        if encode_all(list(_words(joint))) == whole:
            return joint
    return Joint.NONE


def _words(joint: Joint) -> Iterator[str]:
    start = 0
    for found in _SPACE.finditer(_SAMPLE):
        yield _SAMPLE[start : found.start()]
        start = _next(found, joint)
    yield _SAMPLE[start:]


def pieces(text: str, joint: Joint) -> Iterator[str]:
    """Cut a long text before spaces.

    A run of tens of thousands of characters without one is cut all the same, which may
    make one token of it two.
    """
    start = 0
    while joint is not Joint.NONE and len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        found = _last(_SPACE, text, end - _LOOKED_BACK, end)
        if found:
            yield text[start : found.start()]
            start = _next(found, joint)
        else:
            nowhere = _last(_NOWHERE, text, end - _LOOKED_BACK, end)
            end = (nowhere.start() + nowhere.end()) // 2 if nowhere else end
            yield text[start:end]
            start = end
    yield text[start:]


def _next(found: re.Match[str], joint: Joint) -> int:
    return found.end() if joint is Joint.SPACE_GOES else found.start()


def _last(pattern: re.Pattern[str], text: str, start: int, end: int) -> re.Match[str] | None:
    found = deque(pattern.finditer(text, start, end), maxlen=1)
    return found[0] if found else None
