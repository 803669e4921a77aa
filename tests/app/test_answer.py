"""The turn that a model is writing, as it stands out."""

from app.chat.answer import Answer
from models.chat import Reasoning, Text, ToolCall
from models.errors import ModelCrashed
from models.events import (
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models.records.values import Outcome


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_time_of_a_thought_is_from_its_first_word_to_the_first_that_is_said():
    clock = Clock()
    answer = Answer("m", clock)
    answer.take([Started(5)])
    clock.seconds += 30  # the prompt is read
    answer.take([ReasoningDelta("Hm.")])
    clock.seconds += 8
    answer.take([ReasoningDelta(" I see.")])
    assert answer.thinking
    assert answer.turn.thought_seconds == 8
    clock.seconds += 4
    answer.take([TextDelta("Paris.")])
    clock.seconds += 50

    answer.take([Finished(FinishReason.END_OF_TURN, Usage(completion_tokens=9))])

    assert answer.turn.parts == (Reasoning("Hm. I see."), Text("Paris."))
    assert answer.turn.thought_seconds == 12
    assert (answer.turn.outcome, answer.turn.completion_tokens) == (Outcome.DONE, 9)
    assert not answer.thinking


def test_thoughts_between_what_is_said_add_up():
    clock = Clock()
    answer = Answer("m", clock)
    for event in (
        ReasoningDelta("One."),
        TextDelta("Well."),
        ReasoningDelta("Two."),
        ToolCallDelta(0, id="1", name="f", arguments="{}"),
    ):
        answer.take([event])
        clock.seconds += 3

    assert answer.turn.thought_seconds == 6
    assert answer.turn.parts[-1] == ToolCall("1", "f", "{}")


def test_an_answer_that_is_stopped_or_fails_in_mid_thought_keeps_it():
    stopped, failed = Answer("m"), Answer("m")
    for each in (stopped, failed):
        each.take([ReasoningDelta("Hm.")])

    stopped.stop()
    failed.take([Failed(ModelCrashed("It is gone."))])

    assert stopped.turn.parts == failed.turn.parts == (Reasoning("Hm."),)
    assert stopped.turn.outcome is Outcome.STOPPED
    assert (failed.turn.outcome, failed.turn.error) == (Outcome.FAILED, "It is gone.")
    assert not stopped.thinking
    assert not failed.thinking
