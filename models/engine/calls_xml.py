"""Reader of calls whose parameters stand between tags of their own."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from models.chat import Tool
from models.engine.calls import Outcome, Piece, SteppedReader, skip_space
from models.engine.calls_json import JsonCall, pattern_of
from models.engine.decoder import Held, Tokens
from models.engine.typed_values import ParameterTypes, as_json
from models.markup import Calls

_LONGEST_HEAD = 256  # characters
_STRING = frozenset({"string"})


class XmlCalls(SteppedReader):
    """``<function=look_up><parameter=city>Bern</parameter></function>``, and the end tag.

    What is a string is told as it comes; other parameters each when it is whole.
    """

    def __init__(self, calls: Calls, tools: Sequence[Tool]) -> None:
        super().__init__(self._read_head)
        self._row = calls
        self._types = ParameterTypes(tools)
        self._json = JsonCall(calls)
        form = _form(calls)
        self._head, self._key, self._value_end, self._call_end = form
        self._pad = calls.parameter.partition("{key}")[2].partition("{value}")[0].endswith("\n")
        self._name = ""
        self._count = 0  # parameters so far
        self._is_first = True
        self._kinds = _STRING
        self._said = ""  # of a value that is told when it is whole

    def read(self, held: Held, *, last: bool) -> Iterator[Piece]:
        if self._step == self._read_json:
            yield from self._read_json(held, last)
        else:
            yield from super().read(held, last=last)

    def _read_json(self, held: Held, last: bool) -> Iterator[Piece]:
        """Some models write JSON between the same tags."""
        yield from self._json.read(held, last=last)
        self.outcome, self.faulty = self._json.outcome, self._json.faulty

    def _read_head(self, held: Held, last: bool) -> Iterator[Piece]:
        text = held.text.lstrip()
        if self._is_first and text.startswith("{"):
            self._next(self._read_json)
        elif found := self._head.match(held.text):
            self._is_first = False
            self._name, self._count = found["name"], 0
            yield Piece(name=self._name, tokens=held.take(found.end()).tokens)
            self._next(self._read_parameter)
        elif last or len(text) > _LONGEST_HEAD or (self._row.end and self._row.end in text):
            self.outcome = Outcome.TEXT

    def _read_parameter(self, held: Held, last: bool) -> Iterator[Piece]:
        skip_space(held)
        text = held.text
        if found := self._key.match(text):
            span = held.take(found.end())
            key = json.dumps(found["key"], ensure_ascii=False)
            yield Piece(arguments=f"{', ' if self._count else '{'}{key}: ", tokens=span.tokens)
            self._count += 1
            string = found.groupdict().get("string")
            types = self._types.of(self._name, found["key"])
            self._kinds = (
                types if string is None else _STRING if string == "true" else types - _STRING
            )
            self._said = ""
            self._next(self._read_string if self._kinds == _STRING else self._read_value)
            if self._kinds == _STRING:
                yield Piece(arguments='"')
            self._begins_value = True
        elif self._ends_here(text):
            yield Piece(arguments="}" if self._count else "{}")
            self._next(self._read_call_end)
        elif last or not self._may_be_tag(text):
            self.faulty = True
            self._next(self._read_call_end)

    def _ends_here(self, text: str) -> bool:
        return any(text.startswith(each) for each in (self._call_end, self._row.end) if each)

    def _may_be_tag(self, text: str) -> bool:
        """Whether it may become a parameter or an end."""
        tags = (self._lead, self._call_end, self._row.end)
        return (
            any(
                tag and (tag.startswith(text) or (tag == self._lead and text.startswith(tag)))
                for tag in tags
            )
            and len(text) <= _LONGEST_HEAD
        )

    @property
    def _lead(self) -> str:
        return self._row.parameter.partition("{key}")[0].strip()

    # -- Values ----------------------------------------------------------------

    def _read_string(self, held: Held, last: bool) -> Iterator[Piece]:
        for said, tokens in self._value(held, last):
            yield Piece(arguments=json.dumps(said, ensure_ascii=False)[1:-1], tokens=tokens)
        if self._step == self._read_parameter:
            yield Piece(arguments='"')

    def _read_value(self, held: Held, last: bool) -> Iterator[Piece]:
        tokens: Tokens = ()
        for said, more in self._value(held, last):
            self._said += said
            tokens += more
        if self._step == self._read_parameter:
            yield Piece(arguments=as_json(self._said, self._kinds), tokens=tokens)

    def _value(self, held: Held, last: bool) -> Iterator[tuple[str, Tokens]]:
        """More of a value; at its end the next step is the next parameter."""
        if self._pad and self._begins_value:
            if not held.text and not last:
                return
            held.take(held.text.startswith("\n"))
        self._begins_value = False
        place, length = self._end_of_value(held.text, last)
        if place:
            span = held.take(place)
            yield span.text, span.tokens
        if length:
            held.take(length)
            self._next(self._read_parameter)
        elif last:
            self.faulty = True
            self.outcome = Outcome.OVER

    def _end_of_value(self, text: str, last: bool) -> tuple[int, int]:
        """Return up to where it is a value for certain, and the length of the tag that ends it; 0:
        that is not here yet.

        A tag in a value is part of it, unless something follows that can follow a value.
        """
        tag = self._value_end
        at = text.find(tag)
        while at >= 0:
            rest = text[at + len(tag) :].lstrip()
            follows = self._lead_starts(rest) or self._ends_here(rest)
            if follows or (last and not rest):
                start = at - (self._pad and text[:at].endswith("\n"))
                return start, at + len(tag) - start
            if not last and (not rest or self._may_be_tag(rest)):
                return at - (self._pad and text[:at].endswith("\n")), 0
            at = text.find(tag, at + 1)
        if last:
            return len(text), 0
        kept = max(
            (
                size
                for size in range(min(len(tag) - 1, len(text)), 0, -1)
                if tag.startswith(text[-size:])
            ),
            default=0,
        )
        end = len(text) - kept
        return end - (self._pad and text[:end].endswith("\n")), 0

    def _lead_starts(self, text: str) -> bool:
        return text.startswith(self._lead)

    # -- Behind a call ---------------------------------------------------------

    def _read_call_end(self, held: Held, last: bool) -> Iterator[Piece]:
        yield from ()
        for tag in (self._call_end,):
            skip_space(held)
            if tag and held.text.startswith(tag):
                held.take(len(tag))
            elif tag and tag.startswith(held.text) and not last:
                return
        self._next(self._read_next)

    def _read_next(self, held: Held, last: bool) -> Iterator[Piece]:
        yield from ()
        skip_space(held)
        text, end = held.text, self._row.end
        lead = self._row.call.partition("{name}")[0].strip()
        if end and text.startswith(end):
            held.take(len(end))
            self.outcome = Outcome.OVER
        elif lead and text.startswith(lead):
            self._next(self._read_head)
        elif last or not any(tag and tag.startswith(text) for tag in (lead, end)):
            held.take(len(text) if last and text and end.startswith(text) else 0)
            self.outcome = Outcome.OVER


@lru_cache(maxsize=64)
def _form(row: Calls) -> tuple[re.Pattern[str], re.Pattern[str], str, str]:
    """Return what begins a call and a parameter, and the tags that end a value and a call."""
    head, _, behind = row.call.partition("{parameters}")
    key, _, value_end = row.parameter.partition("{value}")
    return (
        re.compile(pattern_of(head) + r"\s*(?=<)"),
        re.compile(pattern_of(key.rstrip("\n"))),
        value_end.strip(),
        behind.strip(),
    )
