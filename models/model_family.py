"""How models mark what they think and what they call: two tables, one row a kind of markup.

A model family is a row of each, found by the words of its chat template. Whoever reads or
constrains what a model writes goes by the row: a new family is a new row, and where the text
of a call has a form of its own, one more ``CallForm`` (see ``models/engine/calls.py``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from models.call_rows import CALLS
from models.markup import Calls, Signs, Thoughts

THOUGHTS: tuple[Thoughts, ...] = (
    Thoughts(
        Signs(all_of=("</think>",), none_of=("<|start_of_role|>",)),
        begin="<think>",
        end="</think>",
        closing="\n</think>\n\n",
    ),
    Thoughts(  # Granite 3.3
        Signs(all_of=("</think>", "<|start_of_role|>")),
        begin="<think>",
        end="</think>",
        around=("<response>", "</response>"),
        closing="</think>",
    ),
    Thoughts(  # gpt-oss
        Signs(all_of=("<|channel|>", "<|message|>")),
        begin="<|channel|>analysis<|message|>",
        end="<|end|>",
        closing="<|end|><|start|>assistant",
    ),
    Thoughts(  # Gemma 4
        Signs(all_of=("<|channel>", "<channel|>")),
        begin="<|channel>thought\n",
        end="<channel|>",
        closing="\n<channel|>",
        token="<|channel>",
    ),
    Thoughts(  # Command R7B, Command A
        Signs(all_of=("<|START_THINKING|>",)),
        begin="<|START_THINKING|>",
        end="<|END_THINKING|>",
        around=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        closing="<|END_THINKING|>",
    ),
    Thoughts(  # Apriel
        Signs(all_of=("[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:")),
        begin="Here are my reasoning steps:\n",
        end="[BEGIN FINAL RESPONSE]",
        around=("[END FINAL RESPONSE]",),
        closing="\n[BEGIN FINAL RESPONSE]\n",
    ),
    Thoughts(  # Apertus
        Signs(all_of=("<|inner_prefix|>",)),
        begin="<|inner_prefix|>",
        end="<|inner_suffix|>",
        closing="<|inner_suffix|>",
    ),
    Thoughts(Signs(all_of=("[THINK]",)), begin="[THINK]", end="[/THINK]", closing="[/THINK]"),
    Thoughts(
        Signs(all_of=("<seed:think>",)),
        begin="<seed:think>",
        end="</seed:think>",
        closing="\n</seed:think>\n",
    ),
    Thoughts(  # Solar Open
        Signs(all_of=("<|think|>", "<|tool_calls|>")),
        begin="<|think|>",
        end="<|end|>",
        closing="<|end|><|begin|>assistant",
        around=("<|begin|>assistant", "<|content|>", "<|end|>"),
    ),
)


@dataclass(frozen=True, slots=True)
class ModelFamily:
    calls: Calls | None = None  # None: it calls no tools, or in a way that is not known here
    thoughts: Thoughts | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """All markup. Where a vocabulary has special tokens for it, they are text all the same."""
        of_calls = self.calls.tags if self.calls else ()
        of_thoughts = self.thoughts.tags if self.thoughts else ()
        return tuple(dict.fromkeys((*of_thoughts, *of_calls)))


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
