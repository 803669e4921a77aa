"""What can be said of how models mark their thoughts and calls: a row of either table.

The tables are in ``models/model_family.py``.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class CallForm(StrEnum):
    """What stands between the tags of a call."""

    JSON = "json"  # {"name": "look_up", "arguments": {"city": "Bern"}}, or a list of such
    HARMONY = "harmony"  # a part of an answer that goes to=functions.look_up
    PART = "part"  # one that has look_up in the line in front of it
    XML = "xml"  # <function=look_up><parameter=city>Bern</parameter></function>
    PYTHON = "python"  # look_up(city="Bern")
    GEMMA = "gemma"  # call:look_up{city:<|"|>Bern<|"|>}
    NAMED = "named"  # look_up, words of the family's own, {"city": "Bern"}


@dataclass(frozen=True, slots=True)
class Signs:
    """Words of the chat templates that go with a row."""

    all_of: tuple[str, ...]
    none_of: tuple[str, ...] = ()

    def fit(self, template: str) -> bool:
        return all(each in template for each in self.all_of) and not any(
            each in template for each in self.none_of
        )


@dataclass(frozen=True)
class Calls:
    """One way to call tools: ``begin open call (between call)* close end``.

    In ``call`` stand ``{name}`` and ``{arguments}`` for what they say, ``{id}`` for whatever the
    model calls it by, and ``{index}`` for its number.
    """

    signs: Signs
    begin: str
    end: str  # "": its last call ends it
    form: CallForm
    call: str
    # Of forms that have {parameters} in the text of a call: one of them, with {key} and {value},
    # and with {string} for whether it is one.
    parameter: str = ""
    open: str = ""
    between: str | None = None  # None: one call between two tags; others have tags of their own
    close: str = ""
    # ``begin`` is no tag, and stays: only an answer that begins with it is a call, if it has the
    # name of a tool.
    bare: bool = False
    others: tuple[str, ...] = ()  # tags behind which models of this family call, too

    @property
    def routed(self) -> bool:
        """Whether each part of an answer begins with where it goes: also one without calls."""
        return self.form in (CallForm.HARMONY, CallForm.PART)

    @cached_property
    def begins(self) -> tuple[str, ...]:
        """All tags that begin a call."""
        return self.others if self.bare else (self.begin, *self.others)

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """All its markup that a vocabulary may have tokens for."""
        texts = (
            self.begin,
            self.end,
            self.open,
            self.call,
            self.parameter,
            self.between or "",
            self.close,
        )
        found = [tag for text in texts for tag in _TAG.findall(text)]
        # A bracket is a token in any vocabulary, and not only where it ends calls.
        ends = (self.end,) if len(self.end) > 1 else ()
        return tuple(dict.fromkeys((*self.begins, *found, *ends)))


PLACES = re.compile(r"\{(name|arguments|parameters|id|index|key|string|value)\}")
_TAG = re.compile(r"<[^<>{}\s]+>|\[[A-Z_]+\]")


@dataclass(frozen=True)
class Thoughts:
    signs: Signs
    begin: str
    end: str
    # ``end`` as its models write it, with all that follows before they can say anything else.
    closing: str
    around: tuple[str, ...] = ()  # tags around what is said, which are not shown
    token: str = ""  # the one that ``begin`` begins with, where it is more than a token

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """All its markup that a vocabulary may have tokens for."""
        texts = (self.begin, self.end, *self.around, self.token)
        found = [tag for text in texts for tag in (text, *_TAG.findall(text))]
        return tuple(dict.fromkeys(filter(None, found)))
