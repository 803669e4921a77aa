"""What is said, thought and called, told apart by the tags of the model's family.

Space around a tag belongs to the tag: models put line breaks there that nobody means.
"""

import uuid
from collections.abc import Iterator, Sequence
from functools import partial

from models.chat import GenerateRequest, Tool
from models.engine.call_readers import reader_of
from models.engine.calls import CallReader, Outcome
from models.engine.coerced_arguments import CoercedArguments, by_name
from models.engine.decoder import Channel, Held, PlainText, Span, undecided
from models.engine.prepared import Prompt
from models.engine.routed import RoutedSpeech
from models.events import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from models.model_family import ModelFamily

_SPACE = " \t\r\n"


class Speech:
    """A ``Channel`` for models that think or call tools.

    With ``calls`` what stands between the tags of a call is one, of the ``tools`` where the form
    of the family does not tell. ``thinking`` is whether what comes next is thought: at the start,
    whether the prompt ends in a thought.
    """

    def __init__(
        self,
        family: ModelFamily,
        *,
        calls: bool,
        tools: Sequence[Tool] = (),
        thinking: bool = False,
    ) -> None:
        self.thinking = thinking
        self.calls = 0
        self.unread_calls = 0  # that are text, or whose arguments are no JSON
        self._calls = family.calls if calls else None
        self._tools = tools
        self._by_name = by_name(tools)
        self._arguments = CoercedArguments({}, "")  # of the call that is being read
        self._thoughts = family.thoughts
        self._around = family.thoughts.around if family.thoughts else ()
        self._ids: set[str] = set()
        self._held = Held()
        self._begun = False  # something has been said or called: no thought begins any more
        self._at_edge = thinking  # behind a tag, where space says nothing
        self._opening = Span("")  # the tag of the call that is being read
        self._reader: CallReader | None = None
        self._named = False  # it has told a name
        self._sought = self._tags()

    def feed(self, span: Span) -> Iterator[Delta]:
        if self._is_plain(span.text):  # nearly all is
            yield self._delta(span)
            return
        self._held.add(span)
        yield from self._go_on(last=False)

    def _is_plain(self, text: str) -> bool:
        """Whether it is said as it stands: no tag begins in it, and no space before one."""
        if not text or self._held.text or self._reader or self._at_edge:
            return False
        if not self._sought:
            return True
        return text[-1] not in _SPACE and not any(tag[0] in text for tag in self._sought)

    def end(self) -> Iterator[Delta]:
        yield from self._go_on(last=True)

    def _go_on(self, *, last: bool) -> Iterator[Delta]:
        while self._held.text or (last and self._reader):
            before = len(self._held.text), self._reader, self.thinking
            if self._reader:
                yield from self._call(self._reader, last)
            else:
                yield from self._speak(last)
            if before == (len(self._held.text), self._reader, self.thinking):
                return

    # -- Text and thoughts -----------------------------------------------------

    def _tags(self) -> tuple[str, ...]:
        """What the text is to be searched for now."""
        tags = (*self._around, *(self._calls.begins if self._calls else ()))
        if self.thinking and self._thoughts:
            return (self._thoughts.end, *tags)  # models forget to end a thought before a call
        if self._calls and self._calls.bare and not self._begun:
            tags = (*tags, self._calls.begin)
        if self._thoughts and not self._begun:  # or its end, where the prompt has ended it
            return (self._thoughts.begin, self._thoughts.end, *tags)
        return tags

    def _speak(self, last: bool) -> Iterator[Delta]:
        text = self._held.text
        if self._at_edge:
            self._held.take(len(text) - len(text.lstrip(_SPACE)))
            text = self._held.text
        if not self._sought:
            yield from self._say(len(text))
            return
        place, tag = self._first(text)
        if tag:
            said = len(text[:place].rstrip(_SPACE))
            yield from self._say(said)
            if self._calls and self._calls.bare and tag == self._calls.begin:
                self._read_call("", self._held.take(place - said))
            else:
                self._take_tag(tag, self._held.take(place + len(tag) - said))
            return
        if not last:
            text = text[: len(text) - undecided(text, self._sought)].rstrip(_SPACE)
        elif self.thinking:
            text = text.rstrip(_SPACE)
        yield from self._say(len(text))

    def _first(self, text: str) -> tuple[int, str]:
        places = [(text.find(tag), tag) for tag in self._sought if tag in text]
        return min(filter(partial(self._counts, text), places), default=(0, ""))

    def _counts(self, text: str, found: tuple[int, str]) -> bool:
        place, tag = found
        of_thought = self._thoughts and tag in (self._thoughts.begin, self._thoughts.end)
        begins_thought = not self.thinking and of_thought and tag not in self._around
        is_bare = self._calls and self._calls.bare and tag == self._calls.begin
        return not ((begins_thought or is_bare) and text[:place].strip(_SPACE))

    def _say(self, length: int) -> Iterator[Delta]:
        if not length:
            return
        span = self._held.take(length)
        self._at_edge = False
        yield self._delta(span)

    def _delta(self, span: Span) -> Delta:
        if self.thinking:
            return ReasoningDelta(span.text, span.tokens)
        self._begin()
        return TextDelta(span.text, span.tokens)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self.thinking = False
            self._sought = self._tags()

    def _take_tag(self, tag: str, written: Span) -> None:
        self._at_edge = True
        if self._calls and tag in self._calls.begins:
            self._read_call(tag, written)
        elif self._thoughts and tag == (
            self._thoughts.end if self.thinking else self._thoughts.begin
        ):
            self.thinking = not self.thinking
            self._sought = self._tags()

    def _read_call(self, tag: str, written: Span) -> None:
        if self._calls:
            self._opening, self._named = written, False
            self._reader = reader_of(self._calls, tag, self._tools)

    # -- Calls -----------------------------------------------------------------

    def _call(self, reader: CallReader, last: bool) -> Iterator[Delta]:
        for piece in reader.read(self._held, last=last):
            call_id = ""
            if piece.name:
                yield from self._rest_of_arguments()
                self._named = True
                self.calls += 1
                self._begin()
                call_id = self._new_id(piece.call_id)
                self._arguments = CoercedArguments(self._by_name, piece.name)
            said = self._arguments.feed(piece.arguments)
            yield ToolCallDelta(self.calls - 1, said, call_id, piece.name, piece.tokens)
        if reader.outcome is Outcome.OPEN:
            return
        yield from self._rest_of_arguments()
        self._reader = None
        if last and self._named:  # it was cut off: what is left is a piece of it
            self._held.take(len(self._held.text))
            self.unread_calls += reader.faulty or reader.outcome is Outcome.TEXT
            return
        is_text, tagged = reader.outcome is Outcome.TEXT, bool(self._opening.text.strip(_SPACE))
        if is_text and self._held.text.strip(_SPACE):
            if not tagged:
                self._begin()
            if self._opening.text:
                yield self._delta(self._opening)
            self._at_edge = False
        self.unread_calls += reader.faulty or (is_text and tagged)

    def _rest_of_arguments(self) -> Iterator[Delta]:
        if rest := self._arguments.rest():  # it was cut off
            yield ToolCallDelta(self.calls - 1, rest)

    def _new_id(self, own: str) -> str:
        """Return the model's own id for a call, if it is one."""
        found = own if own and own not in self._ids else f"call_{uuid.uuid4().hex[:24]}"
        self._ids.add(found)
        return found


def channel_of(request: GenerateRequest, prompt: Prompt) -> Channel:
    """Return what sorts the answer to a prompt. Text that is to be gone on with is text."""
    family = prompt.family
    if isinstance(request.prompt, str) or not (family.calls or family.thoughts):
        return PlainText()
    calls = bool(request.tools) and request.tool_choice.mode != "none"
    if family.calls and family.calls.routed:
        return RoutedSpeech(family.calls, calls=calls, tools=request.tools)
    return Speech(family, calls=calls, tools=request.tools, thinking=prompt.in_thought)
