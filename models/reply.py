"""Reply: the events of one generation, folded into the finished answer."""

from dataclasses import dataclass, field

from models.chat import Part, Reasoning, Text, ToolCall
from models.events import (
    Event,
    Finished,
    PromptRead,
    ReasoningDelta,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)


@dataclass(slots=True)
class Reply:
    """What has been said so far. Feed it each event in turn.

    Text and reasoning that are broken off by something else and go on are parts of their
    own: their order is kept.
    """

    parts: list[Part] = field(default_factory=list[Part])
    tokens: list[TokenLogprob] = field(default_factory=list[TokenLogprob])  # of all that is said
    prompt: tuple[TokenLogprob, ...] = ()  # its own tokens, where they were asked for
    started: Started | None = None
    finished: Finished | None = None
    _calls: dict[int, int] = field(default_factory=dict[int, int])  # index to place in parts
    _pieces: list[str] = field(default_factory=list[str])  # of the last part, not yet joined

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.whole() if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.whole() if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> list[ToolCall]:
        return [part for part in self.whole() if isinstance(part, ToolCall)]

    def whole(self) -> list[Part]:
        """Return the parts, with everything that was said in them."""
        if self._pieces:
            last = self.parts[-1]
            assert isinstance(last, Text | Reasoning)
            self.parts[-1] = type(last)("".join((last.text, *self._pieces)))
            self._pieces.clear()
        return self.parts

    def take(self, event: Event) -> None:
        match event:
            case TextDelta(text, tokens):
                self._say(Text, text)
                self.tokens.extend(tokens)
            case ReasoningDelta(text, tokens):
                self._say(Reasoning, text)
                self.tokens.extend(tokens)
            case ToolCallDelta():
                self._call(event)
                self.tokens.extend(event.tokens)
            case PromptRead(tokens):
                self.prompt = tokens
            case Started():
                self.started = event
            case Finished():
                self.finished = event
            case _:
                pass  # it adds nothing to an answer

    def _say(self, kind: type[Text] | type[Reasoning], text: str) -> None:
        if not self.parts or not isinstance(self.parts[-1], kind):
            self.whole()
            self.parts.append(kind(""))
        self._pieces.append(text)

    def _call(self, delta: ToolCallDelta) -> None:
        self.whole()
        place = self._calls.setdefault(delta.index, len(self.parts))
        if place == len(self.parts):
            self.parts.append(ToolCall(delta.id, delta.name, delta.arguments))
            return
        call = self.parts[place]
        assert isinstance(call, ToolCall)
        self.parts[place] = ToolCall(call.id, call.name, call.arguments + delta.arguments)
