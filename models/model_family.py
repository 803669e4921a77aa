"""How models mark what they think and what they call: a table, one row a kind of markup.

A model family is two of its rows, found by the words of its chat template. Whoever reads or
constrains what a model writes goes by the row: a new family is a new row, and where the text
of a call has a form of its own, one more ``CallForm`` (see ``models/engine/calls.py``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar


class CallForm(StrEnum):
    """What stands between the tags of a call."""

    JSON = "json"  # {"name": "look_up", "arguments": {"city": "Bern"}}


@dataclass(frozen=True, slots=True)
class Signs:
    """Words of the chat templates that go with a row."""

    all_of: tuple[str, ...]
    none_of: tuple[str, ...] = ()

    def fit(self, template: str) -> bool:
        return all(each in template for each in self.all_of) and not any(
            each in template for each in self.none_of
        )


@dataclass(frozen=True, slots=True)
class Calls:
    signs: Signs
    begin: str
    end: str
    form: CallForm


@dataclass(frozen=True, slots=True)
class Thoughts:
    signs: Signs
    begin: str
    end: str


CALLS: tuple[Calls, ...] = (
    # Qwen 2.5 and 3, Hermes, Granite 4 and many more. Others have XML between the same tags.
    Calls(
        Signs(
            all_of=("<tool_call>", "arguments"), none_of=("<arg_key>", "<function=", "as a list of")
        ),
        begin="<tool_call>",
        end="</tool_call>",
        form=CallForm.JSON,
    ),
)
THOUGHTS: tuple[Thoughts, ...] = (
    Thoughts(Signs(all_of=("</think>",)), begin="<think>", end="</think>"),
    Thoughts(Signs(all_of=("[THINK]",)), begin="[THINK]", end="[/THINK]"),
    Thoughts(Signs(all_of=("<seed:think>",)), begin="<seed:think>", end="</seed:think>"),
)


@dataclass(frozen=True, slots=True)
class ModelFamily:
    calls: Calls | None = None  # None: it calls no tools, or in a way that is not known here
    thoughts: Thoughts | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """All markup. Where a vocabulary has special tokens for it, they are text all the same."""
        rows = [row for row in (self.thoughts, self.calls) if row]
        return tuple(tag for row in rows for tag in (row.begin, row.end))


UNMARKED = ModelFamily()  # all that it writes is said


@lru_cache(maxsize=64)
def family_of(template: str | None) -> ModelFamily:
    """Return the family of the model that has this chat template."""
    if template is None:
        return UNMARKED
    return ModelFamily(_first(CALLS, template), _first(THOUGHTS, template))


Row = TypeVar("Row", Calls, Thoughts)


def _first(rows: Iterable[Row], template: str) -> Row | None:
    return next((row for row in rows if row.signs.fit(template)), None)
