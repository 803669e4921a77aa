"""One reply on a terminal: the answer on stdout, and on stderr what is not the answer."""

import sys
import time
from enum import Enum, auto

from app import words
from app.commands.status_line import HARMLESS, StatusLine, dim
from models.chat import Part, Reasoning
from models.events import (
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
)
from models.reply import Reply

_DOES = {Stage.LOADING: "loading", Stage.PREFILL: "reading"}


class Thoughts(Enum):
    FOLD = auto()  # one line, which tells the latest words while they come
    SHOW = auto()
    HIDE = auto()


class Printer:
    """Prints what comes, as it comes. ``parts`` is what has been said so far."""

    def __init__(self, thoughts: Thoughts) -> None:
        self._thoughts = thoughts
        self._reply = Reply()
        self._line = StatusLine()
        self._thinking_since: float | None = None
        self._call: int | None = None  # the index of the one that is being written
        self._at_start = True  # of a line, on the terminal

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(self._reply.whole())

    def wait(self) -> None:
        """Nothing has come for a while."""
        if self._reply.started is None:
            self._line.show("loading ...")

    def take(self, event: Event) -> None:
        if not isinstance(event, ReasoningDelta | Progress):
            self._end_thought()
        if not isinstance(event, ToolCallDelta) or event.index != self._call:
            self._end_call()
        self._reply.take(event)
        match event:
            case Progress(stage, done, total) if total:
                self._line.show(f"{_DOES[stage]} {done / total:.0%}")
            case Started(dropped_messages=dropped) if dropped:
                self._line.clear()
                print(f"ingle: {words.left_out(dropped)}.", file=sys.stderr)
            case ReasoningDelta(text):
                self._think(text)
            case ToolCallDelta(index):
                self._call = index
                self._show("calling ...")
            case TextDelta(text):
                self._line.clear()
                write(text)
                self._at_start = text.endswith("\n") or not sys.stdout.isatty()
            case Finished():
                self._line.clear()
            case _:
                pass

    def end(self) -> None:
        """Nothing more comes. Harmless twice."""
        self._end_thought()
        self._end_call()
        self._line.clear()

    def _think(self, text: str) -> None:
        now = time.monotonic()
        if self._thinking_since is None:
            self._thinking_since = now
            if self._thoughts is Thoughts.SHOW:
                self._aside("Thinking:")
        match self._thoughts:
            case Thoughts.SHOW:
                _whisper(text)
            case Thoughts.FOLD:
                self._show(words.thinking(now - self._thinking_since), self._latest())
            case Thoughts.HIDE:
                self._show("thinking ...")

    def _latest(self) -> str:
        """Return the last line of the thought that is being written."""
        last = self._reply.whole()[-1]
        lines = last.text.splitlines() if isinstance(last, Reasoning) else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _end_thought(self) -> None:
        if self._thinking_since is None:
            return
        seconds, self._thinking_since = time.monotonic() - self._thinking_since, None
        match self._thoughts:
            case Thoughts.SHOW:
                _whisper("\n\n")
            case Thoughts.FOLD if sys.stderr.isatty():
                self._aside(words.thought(seconds))
            case _:
                self._line.clear()

    def _end_call(self) -> None:
        if self._call is None:
            return
        call = self._reply.tool_calls[self._call]
        self._call = None
        self._aside(words.asked_for(call))

    def _aside(self, said: str) -> None:
        """Put a line on stderr, below what stands there."""
        self._line.clear()
        self._go_to_start()
        _whisper(said + "\n")

    def _show(self, what: str, behind: str = "") -> None:
        self._go_to_start()
        self._line.show(what, behind)

    def _go_to_start(self) -> None:
        if not self._at_start:
            write("\n")
            self._at_start = True


def show_thoughts(parts: tuple[Part, ...]) -> None:
    """Unfold what was thought for a reply."""
    thoughts = [part.text.strip() for part in parts if isinstance(part, Reasoning)]
    _whisper("\n\n".join(thoughts) + "\n" if thoughts else "There was no thought.\n")


def write(text: str) -> None:
    sys.stdout.write(text.translate(HARMLESS) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _whisper(text: str) -> None:
    sys.stderr.write(dim(text.translate(HARMLESS)))
    sys.stderr.flush()
