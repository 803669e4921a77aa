"""What an answer must look like, as one Lark text that both engines obey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

Said: TypeAlias = Sequence[str | tuple[int, str]]
"""Texts, and tokens that a grammar names: each by its id, and with what it shows."""


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar that has been checked: as llguidance reads it, special tokens by their ids."""

    lark: str  # of the whole output, up to the token that ends it
    # Of what is said, for whoever has its bytes and not its tokens; "": bytes do not tell.
    # Where ``behind`` stands in it, of what follows.
    text: str = ""
    behind: str = ""
    # The tokens that stand in ``text`` by numbers behind those of the 256 bytes: their ids.
    named: tuple[int, ...] = ()
    # The token up to which everything is free, and the grammar of what comes behind it: an
    # engine that can wait for a token reads none of what comes before.
    trigger: int | None = None
    tail: str = ""
    tag: str = ""  # what the trigger shows, where a model may spell it in other tokens, too
    # Of what comes behind a thought that has been ended; "": that is no other than ``lark``.
    answer: str = ""

    def behind_thought(self) -> "CompiledGrammar":
        """Return the grammar of an answer whose thought is a part of its prompt."""
        return replace(self, lark=self.answer or self.lark, behind="", trigger=None, tail="")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The special tokens of a model that a grammar has to do with."""

    end: tuple[int, ...] = ()  # each of them ends a turn
    think_start: int | None = None
    think_end: int | None = None  # None: it does not think, or not between two tokens
    think_end_text: str = ""
    tags: Mapping[str, int] = field(default_factory=dict[str, int])  # of calls, that are tokens
