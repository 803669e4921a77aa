"""``ingle run`` in a conversation, on a model that says what it is told to."""

import io
import sys
from dataclasses import replace

import pytest

from app.commands.printer import Printer, Thoughts
from app.commands.run import Conversation, Question, obey
from models.chat import Reasoning, SamplingParams, Text
from models.errors import ContextOverflow
from models.events import (
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
)
from tests.fakes import THINKING_TEMPLATE, ScriptedBackend, a_model, scripted_residency

QUESTION = Question(model="scripted", system=None, sampling=SamplingParams(), max_tokens=None)
DIM, PLAIN, CLEAR = "\033[2m", "\033[0m", "\r\033[K"
REPLY: tuple[Event, ...] = (
    Progress(Stage.LOADING, 1, 4),
    Started(9),
    Progress(Stage.PREFILL, 9, 10),
    ReasoningDelta("It is in "),
    ReasoningDelta("France.\nSo\x1b[2J"),
    TextDelta("Let me"),
    TextDelta(" look."),
    ToolCallDelta(0, id="1", name="look_up", arguments='{"word": '),
    ToolCallDelta(0, arguments='"Paris"}'),
    ToolCallDelta(1, id="2", name="look_up", arguments="{}"),
    Finished(FinishReason.TOOL_CALLS),
)


class Screen(io.StringIO):
    """What a person sees; both streams end here."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What is left once each line that was cleared is gone."""
        text = self.getvalue().replace(DIM, "").replace(PLAIN, "")
        return [line.split(CLEAR)[-1] for line in text.split("\n")]


def a_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Return what both streams lead to from now on: pytest takes them back before each test."""
    made = Screen()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    return made


def printed(thoughts: Thoughts) -> Printer:
    printer = Printer(thoughts)
    for event in REPLY:
        printer.take(event)
    printer.end()
    return printer


def test_on_a_terminal_a_thought_is_one_line_that_lives_while_it_is_thought(
    monkeypatch: pytest.MonkeyPatch,
):
    screen = a_screen(monkeypatch)
    printer = printed(Thoughts.FOLD)

    for passing in ("loading 25%", "reading 90%", "Thinking   It is in", "Thinking   So"):
        assert f"{CLEAR}{DIM}{passing}" in screen.getvalue()
    assert screen.lines() == [
        "Thought",
        "Let me look.",
        'Asked for look_up(word="Paris")',
        "Asked for look_up()",
        "",
    ]
    assert f"{DIM}Thought\n{PLAIN}" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert printer.parts[:2] == (Reasoning("It is in France.\nSo\x1b[2J"), Text("Let me look."))


def test_a_thought_is_shown_or_hidden_for_those_who_want_that(
    monkeypatch: pytest.MonkeyPatch,
):
    screen = a_screen(monkeypatch)
    printed(Thoughts.SHOW)
    assert screen.lines()[:5] == ["Thinking:", "It is in France.", "So[2J", "", "Let me look."]

    screen.truncate(0)
    screen.seek(0)
    printed(Thoughts.HIDE)
    assert screen.lines()[0] == "Let me look."


def test_on_a_pipe_there_is_the_answer_alone(capsys: pytest.CaptureFixture[str]):
    printed(Thoughts.FOLD)
    out, errors = capsys.readouterr()

    assert out == "Let me look."
    assert errors == 'Asked for look_up(word="Paris")\nAsked for look_up()\n'


def test_a_long_line_of_a_thought_keeps_to_the_terminals_width(
    monkeypatch: pytest.MonkeyPatch,
):
    screen = a_screen(monkeypatch)
    printer = Printer(Thoughts.FOLD)
    printer.take(ReasoningDelta("好" * 300 + "end"))

    shown = screen.lines()[-1]
    assert shown.startswith("Thinking   …好")
    assert shown.endswith("好end")
    assert len(shown) + shown.count("好") < 80
    printer.end()


def test_what_was_thought_goes_back_to_the_model_and_can_be_read_again(
    capsys: pytest.CaptureFixture[str],
):
    backend = ScriptedBackend("It is in", "</think>", "Paris.", template=THINKING_TEMPLATE)
    thinker = a_model()
    thinker = replace(thinker, details=replace(thinker.details, thinking=True))
    residency = scripted_residency(backend, thinker)
    conversation = Conversation(residency, QUESTION, (False, True))

    obey(conversation, "Where?")
    obey(conversation, "/thoughts")
    obey(conversation, "/set nothink")
    obey(conversation, "Sure?")
    obey(conversation, "/think sideways")
    obey(conversation, "/new")
    obey(conversation, "/thoughts")
    residency.close()

    out, errors = capsys.readouterr()
    assert backend.prompts == [
        b"[user]Where?[assistant]<think>",
        b"[user]Where?[assistant]<think>It is in</think>Paris.[user]Sure?[assistant]",
    ]
    assert out.splitlines()[:2] == ["Paris.", "It answers at once now."]
    assert "'sideways' is none of on, off, low, medium, high." in out
    assert errors.splitlines() == ["It is in", "There was no thought."]


def test_a_conversation_that_has_grown_too_long_goes_on_and_says_what_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend = ScriptedBackend("Paris.", context_length=256)
    residency = scripted_residency(backend)
    conversation = Conversation(residency, QUESTION)
    for _ in range(3):
        assert conversation.say("word " * 20)
    out, errors = capsys.readouterr()
    residency.close()

    assert out == "Paris.\n" * 3
    assert errors.splitlines() == [
        "ingle: The 2 oldest messages no longer fit and were left out.",
        "ingle: The 4 oldest messages no longer fit and were left out.",
    ]


def test_a_message_that_alone_is_too_long_is_refused_and_the_conversation_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    residency = scripted_residency(ScriptedBackend("Paris.", context_length=256))
    conversation = Conversation(residency, QUESTION)
    with pytest.raises(ContextOverflow):
        conversation.say("word " * 200)
    assert conversation.say("Where?")
    residency.close()

    assert capsys.readouterr().out.endswith("Paris.\n")
