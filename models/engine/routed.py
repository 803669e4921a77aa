"""What is said, thought and called, where each part of an answer begins with where it goes.

<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
>>>all
…
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

from models.chat import Tool
from models.engine.calls import skip_space
from models.engine.coerced_arguments import CoercedArguments, by_name
from models.engine.decoder import Held, Span, undecided
from models.engine.json_scan import ObjectScan, is_object
from models.events import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from models.markup import CallForm, Calls

_HARMONY_ENDS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_HARMONY_BEGINS = ("<|channel|>", "<|start|>", "to=")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_FUNCTIONS = "functions."
_LONGEST_HEADER = 256  # characters

_To: TypeAlias = str | None
"""Whom a part is for: the name of a function, or nobody but the reader."""


class _Step(Protocol):
    def __call__(self, last: bool) -> Iterator[Delta]: ...


class RoutedSpeech:
    """A ``Channel`` for gpt-oss and for Functionary 3.2, as the form of the row says.

    Without ``calls`` what is for a function is text.
    """

    def __init__(self, row: Calls, *, calls: bool, tools: Sequence[Tool] = ()) -> None:
        self.thinking = False
        self.calls = 0
        self.unread_calls = 0
        self._harmony = row.form is CallForm.HARMONY
        self._may_call = calls
        self._names = {each.name for each in tools}
        self._held = Held()
        self._step: _Step = self._read_header
        self._to: _To = None
        self._goes_on = False
        self._first = True
        self._scan = ObjectScan("")
        self._arguments: list[str] = []
        self._by_name = by_name(tools)
        self._coerced = CoercedArguments({}, "")

    def feed(self, span: Span) -> Iterator[Delta]:
        self._held.add(span)
        yield from self._go_on(last=False)

    def end(self) -> Iterator[Delta]:
        yield from self._go_on(last=True)

    def _go_on(self, *, last: bool) -> Iterator[Delta]:
        self._goes_on = bool(self._held.text) or (last and self._step == self._read_call)
        while self._goes_on:
            self._goes_on = False
            yield from self._step(last)

    # -- Where a part goes -----------------------------------------------------

    def _read_header(self, last: bool) -> Iterator[Delta]:
        text = self._held.text
        end = "<|message|>" if self._harmony else "\n"
        place = text.find(end)
        if place < 0 and not last and len(text) < _LONGEST_HEADER and self._may_be_header(text):
            return
        if place < 0 or not self._may_be_header(text[:place] + end):
            if last and self._may_be_header(text) and text.strip():  # cut off, and no text
                self.unread_calls += "to=" in text
                self._held.take(len(text))
            self._go_to(self._say)
            return
        header = self._held.take(place + len(end)).text[: -len(end)]
        self._begin(*(self._harmony_part(header) if self._harmony else _part(header)))
        yield from self._named(header)

    def _may_be_header(self, text: str) -> bool:
        if not self._harmony:
            return self._is_name(text)
        text = text.lstrip()
        return not self._first or any(
            each.startswith(text) or text.startswith(each) for each in _HARMONY_BEGINS
        )

    def _is_name(self, text: str) -> bool:
        return any(f"{name}\n".startswith(text) for name in ("all", *self._names))

    def _harmony_part(self, header: str) -> tuple[_To, bool]:
        channel, recipient = _CHANNEL.search(header), _RECIPIENT.search(header)
        to = recipient[1].removeprefix(_FUNCTIONS) if recipient and self._may_call else None
        return to, channel is not None and channel[1] == "analysis"

    def _begin(self, to: _To, thinking: bool) -> None:
        self._first = False
        self._to = to
        self.thinking = thinking and to is None
        if to is None or not self._may_call:
            self._go_to(self._say)
            return
        self._scan = ObjectScan("<|" if self._harmony else ">>>")
        self._arguments.clear()
        self._go_to(self._read_call)

    def _named(self, header: str) -> Iterator[Delta]:
        if self._step == self._read_call and self._to:
            self.calls += 1
            call_id = f"call_{uuid.uuid4().hex[:24]}"
            self._coerced = CoercedArguments(self._by_name, self._to)
            yield ToolCallDelta(self.calls - 1, "", call_id, self._to)
        elif not self._harmony and header != "all":
            yield TextDelta(header + "\n")  # what a model calls without tools

    def _go_to(self, step: _Step) -> None:
        self._step = step
        self._goes_on = bool(self._held.text)

    # -- What it says ----------------------------------------------------------

    def _say(self, last: bool) -> Iterator[Delta]:
        text = self._held.text
        place, tag = self._next_part(text, last)
        if place:
            span = self._held.take(place)
            delta = ReasoningDelta if self.thinking else TextDelta
            yield delta(span.text, span.tokens)
        if tag:
            yield from self._end_part(tag)

    def _next_part(self, text: str, last: bool) -> tuple[int, str]:
        """Return where the next part begins, and its tag; "": that is not here yet."""
        ends = _HARMONY_ENDS if self._harmony else (">>>",)
        places = [(text.find(tag), tag) for tag in ends if tag in text]
        place, tag = min(places, default=(len(text), ""))
        if tag == ">>>" and not self._is_next(text[place + 3 :]):
            more, found = self._next_part(text[place + 3 :], last)
            return place + 3 + more, found
        if tag == ">>>" and "\n" not in text[place:]:
            return place if not last else len(text), ""  # it is not known yet whether it is one
        return (place, tag) if tag else (len(text) - (0 if last else undecided(text, ends)), "")

    def _is_next(self, text: str) -> bool:
        """Whether ``>>>`` is followed by a name, or what may become one."""
        line, end, _ = text.partition("\n")
        return self._is_name(line + end)

    def _end_part(self, tag: str) -> Iterator[Delta]:
        self.thinking = False
        if tag not in ("<|start|>", "<|channel|>"):
            self._held.take(len(tag))
        self._go_to(self._between if self._harmony else self._read_header)
        yield from ()

    def _between(self, last: bool) -> Iterator[Delta]:
        """Behind an end there is a start, and nothing else that anyone should see."""
        text = self._held.text
        starts = ("<|start|>", "<|channel|>")
        place = min((text.find(tag) for tag in starts if tag in text), default=-1)
        if place >= 0:
            self._held.take(place)
            self._go_to(self._read_header)
        else:
            self._held.take(len(text) - (0 if last else undecided(text, starts)))
        yield from ()

    # -- Calls -----------------------------------------------------------------

    def _read_call(self, last: bool) -> Iterator[Delta]:
        if not self._arguments:
            skip_space(self._held)
            if not self._held.text and not last:
                return
        said = self._scan.read(self._held.text)
        if said:
            span = self._held.take(self._scan.length)
            self._scan.length = 0
            self._arguments.append(said)
            told = self._coerced.feed(said)
            yield ToolCallDelta(self.calls - 1, told, tokens=span.tokens)
        if self._scan.closed or self._scan.broken or last:
            self.unread_calls += not is_object("".join(self._arguments))
            if rest := self._coerced.rest():  # it was cut off
                yield ToolCallDelta(self.calls - 1, rest)
            self._go_to(self._behind_call)

    def _behind_call(self, last: bool) -> Iterator[Delta]:
        place, tag = self._next_part(self._held.text, last)
        self._held.take(place)  # a model that goes on behind a call says nothing that is meant
        if tag:
            yield from self._end_part(tag)


def _part(header: str) -> tuple[_To, bool]:
    return (None if header == "all" else header), False
