"""The turn that a model is writing: events in, the turn as it stands out. No Qt."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from app import words
from models.chat import Reasoning
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from models.records.values import Outcome, Turn
from models.reply import Reply

_OUTCOMES = {
    FinishReason.CANCELLED: Outcome.STOPPED,
    FinishReason.MAX_TOKENS: Outcome.CUT,
}


class Answer:
    def __init__(self, model: str, now: Callable[[], float] = time.monotonic) -> None:
        self.turn = Turn(role="assistant", parts=(), outcome=Outcome.WRITING, model=model)
        self._reply = Reply()
        self._now = now
        self._thought_at: float | None = None  # when it was last seen to think; None: it does not

    @property
    def thinking(self) -> bool:
        """Whether what it is at now is a thought."""
        return self.turn.outcome is Outcome.WRITING and self.turn.ends_in(Reasoning)

    def take(self, events: Iterable[Event]) -> None:
        grown = False
        for event in events:
            self._reply.take(event)
            match event:
                case Started(dropped_messages=dropped):
                    self.turn = replace(self.turn, dropped_messages=dropped)
                case TextDelta() | ReasoningDelta() | ToolCallDelta():
                    self._clock(thinks=isinstance(event, ReasoningDelta))
                    grown = True
                case Finished() | Failed():
                    self._clock(thinks=False)
                    self._end(event)
                case _:
                    pass
        if grown:
            self.turn = replace(self.turn, parts=tuple(self._reply.whole()))

    def stop(self) -> None:
        """It is left as it is."""
        self.turn = replace(self.turn, outcome=Outcome.STOPPED)

    def _end(self, event: Finished | Failed) -> None:
        match event:
            case Finished(reason, usage):
                self.turn = replace(
                    self.turn,
                    outcome=_OUTCOMES.get(reason, Outcome.DONE),
                    completion_tokens=usage.completion_tokens,
                    decode_seconds=usage.decode_seconds,
                )
            case Failed(error):
                told = words.in_a_chat(error)
                self.turn = replace(self.turn, outcome=Outcome.FAILED, error=told)

    def _clock(self, *, thinks: bool) -> None:
        """Count the time from the first word of a thought to the first that is none."""
        if not thinks and self._thought_at is None:
            return
        now = self._now()
        if self._thought_at is not None:
            seconds = self.turn.thought_seconds + now - self._thought_at
            self.turn = replace(self.turn, thought_seconds=seconds)
        self._thought_at = now if thinks else None
