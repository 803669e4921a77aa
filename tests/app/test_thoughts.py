"""What is not said: thoughts, calls and results in the window, and the switch for thinking."""

import time
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QPushButton

from app.chat.blocks import CopyButton, TextBlock
from app.chat.fold import Fold
from app.chat.rows import ReplyRow
from app.chat.session import State
from app.chat.think_switch import ThinkSwitch
from app.theme import LIGHT
from models.chat import Part, Reasoning, Text, ToolCall, ToolResult, user
from models.events import ReasoningDelta, Sink, Started, TextDelta, ToolCallDelta
from models.records.values import Outcome, Turn, user_turn
from tests.app.conftest import Desk
from tests.fakes import THINKING_TEMPLATE, ScriptedBackend

THOUGHT = "The user asks for a capital.\n\nThat is Paris."
CALL = ToolCall("1", "get_weather", '{"city": "Paris", "days": 2}')
RESULT = ToolResult("1", (Text("12 °C\nand rain"),), "get_weather")


def folds(desk: Desk) -> list[Fold]:
    rows = sorted(desk.window.chat.transcript.rows.items())
    return [each for _, row in rows for each in row.findChildren(Fold) if each.isVisible()]


def head(fold: Fold) -> QPushButton:
    return fold.findChildren(QPushButton)[0]


def body(fold: Fold) -> TextBlock:
    return fold.findChildren(TextBlock)[0]


def answered(*parts: Part, thought_seconds: float = 0.0) -> Turn:
    return Turn(role="assistant", parts=parts, model="m", thought_seconds=thought_seconds)


def finish(desk: Desk, qtbot) -> None:
    qtbot.waitUntil(lambda: not desk.chats.current.busy and bool(desk.chats.current.turns))


def eavesdrop(desk: Desk) -> list[Sink]:
    """Return the list that the sink of every request will be in; no model answers."""
    sinks: list[Sink] = []
    desk.residency.submit = lambda request, sink, **about: sinks.append(sink) or 1
    return sinks


def switch(desk: Desk) -> ThinkSwitch:
    return desk.window.chat.composer.think


def test_a_thought_is_folded_and_opens_by_click_and_by_keyboard(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(qtbot, answered(Reasoning(THOUGHT), Text("Paris."), thought_seconds=12.4))
    (fold,) = folds(desk)
    row = desk.reply_rows()[0]
    folded = row.height()
    assert head(fold).text() == "Thought for 12 s"
    assert not body(fold).isVisible()

    qtbot.mouseClick(head(fold), Qt.MouseButton.LeftButton)
    assert body(fold).isVisible()
    assert body(fold).toPlainText() == THOUGHT
    assert row.height() > folded + 50

    for key in (Qt.Key.Key_Space, Qt.Key.Key_Return):
        before = fold.open
        qtbot.keyClick(head(fold), key)
        assert fold.open is not before
    qtbot.keyClick(head(fold), Qt.Key.Key_Enter)
    assert not body(fold).isVisible()
    assert row.height() == folded


def test_a_screen_reader_hears_what_is_folded(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(qtbot, answered(Reasoning(THOUGHT), Text("Paris."), CALL, thought_seconds=75))
    thought, call = folds(desk)

    assert head(thought).accessibleName() == "Thought for 1 min 15 s"
    assert "Folded" in head(thought).accessibleDescription()
    thought.set_open(True)
    assert head(thought).accessibleDescription() == "Open"
    assert desk.reply_rows()[0].accessibleName() == (
        'm: Thought for 1 min 15 s. Asked for get_weather(city="Paris", days=2). Paris.'
    )
    assert head(call).focusPolicy() & Qt.FocusPolicy.TabFocus


def test_calls_and_results_are_a_line_each_in_their_place(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(
        qtbot,
        user_turn("Rain?"),
        answered(Text("Let me look."), CALL, replace(CALL, arguments="{'city'")),
        Turn(role="tool", parts=(RESULT, replace(RESULT, name="", is_error=True))),
        Turn(role="user", parts=(RESULT,)),  # as Anthropic's clients send them
        answered(Text("Yes."), Reasoning("First."), Text("Or no."), Reasoning("Second.")),
    )

    assert [head(each).text() for each in folds(desk)] == [
        'Asked for get_weather(city="Paris", days=2)',
        "Asked for get_weather({'city')",
        "get_weather answered: 12 °C and rain",
        "A tool failed: 12 °C and rain",
        "get_weather answered: 12 °C and rain",
        "Thought",
        "Thought",
    ]
    call = folds(desk)[0]
    call.set_open(True)
    assert body(call).toPlainText() == '{\n  "city": "Paris",\n  "days": 2\n}'
    said = [each.toPlainText() for each in desk.reply_rows()[-1].findChildren(TextBlock)]
    assert [each for each in said if each] == ["Yes.", "Or no."]
    in_order = sorted(
        (each.y(), each) for each in desk.reply_rows()[-1].children() if isinstance(each, Fold)
    )
    assert desk.reply_rows()[-1].findChildren(TextBlock)[0].y() < in_order[0][0]


def test_a_long_call_keeps_to_its_line(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    long = ToolCall("1", "write", '{"text": "' + "many words & more " * 5000 + '"}')
    desk.open_past(qtbot, answered(long, ToolCall("2", "deep", "[" * 100_000)))

    for fold in folds(desk):
        words = head(fold).text()
        assert words.endswith("…")
        assert head(fold).fontMetrics().horizontalAdvance(words) < fold.width()
        assert fold.height() < 40


def test_a_copy_of_a_reply_is_what_was_said(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(qtbot, answered(Reasoning(THOUGHT), Text("**Paris**."), CALL))
    buttons = desk.reply_rows()[0].findChildren(CopyButton)

    qtbot.mouseClick(next(each for each in buttons if each.isVisible()), Qt.MouseButton.LeftButton)

    assert QGuiApplication.clipboard().text() == "**Paris**."


def test_a_thought_is_live_while_it_is_written_and_folds_when_the_answer_comes(
    desk_of, qtbot
) -> None:
    desk = desk_of(ScriptedBackend())
    sinks = eavesdrop(desk)
    desk.say("Where?")
    qtbot.waitUntil(lambda: bool(sinks))

    for event in (Started(5), ReasoningDelta("First line.\n"), ReasoningDelta("It is in Fra")):
        sinks[0](event)
    qtbot.waitUntil(lambda: desk.chats.current.state is State.THINKING)
    (fold,) = folds(desk)
    assert head(fold).text() == "Thinking   It is in Fra"
    assert head(fold).accessibleName() == "Thinking"
    fold.set_open(True)
    sinks[0](ReasoningDelta("nce.\nSo there."))
    qtbot.waitUntil(lambda: "So there." in body(fold).toPlainText())
    assert body(fold).toPlainText() == "First line.\nIt is in France.\nSo there."
    assert head(fold).text() == "Thinking"
    sinks[0](TextDelta("Paris."))
    qtbot.waitUntil(lambda: desk.chats.current.state is State.WRITING)

    assert folds(desk) == [fold]
    assert head(fold).text() == "Thought"
    assert fold.open  # for it was opened by a person
    sinks[0](ToolCallDelta(0, id="1", name="look_up", arguments='{"a'))
    qtbot.waitUntil(lambda: len(folds(desk)) == 2)
    assert head(folds(desk)[1]).text() == "Asking for look_up"
    desk.chats.current.stop()
    desk.chats.current.close()


def test_a_long_thought_that_is_open_grows_without_being_laid_out_again(qapp) -> None:
    turn = replace(answered(Reasoning("Step by step.\n\n" * 4000)), outcome=Outcome.WRITING)
    row = ReplyRow(turn, LIGHT, {(turn.id, 0)})
    row.lay_out(800)
    began = time.process_time()
    for number in range(150):
        (thought,) = turn.parts
        assert isinstance(thought, Reasoning)
        turn = replace(turn, parts=(Reasoning(f"{thought.text} word {number}"),))
        row.grow(turn)
        row.lay_out(800)

    assert time.process_time() - began < 8  # a tenth of a second; it took half a minute
    (fold,) = row.findChildren(Fold)
    assert body(fold).toPlainText().endswith("word 149")
    row.deleteLater()


def test_a_fold_stays_open_when_its_row_was_out_of_sight(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    turns = [answered(Reasoning(THOUGHT), Text("Word " * 4000)) for _ in range(4)]
    desk.open_past(qtbot, *turns)
    transcript = desk.window.chat.transcript
    bar = transcript.verticalScrollBar()
    bar.setValue(0)
    folds(desk)[0].set_open(True)

    bar.setValue(bar.maximum())
    assert 0 not in transcript.rows
    bar.setValue(0)

    assert folds(desk)[0].open


def test_a_model_thinks_where_it_is_switched_on_and_the_chat_remembers_it(desk_of, qtbot) -> None:
    backend = ScriptedBackend("It is in", "</think>", "Paris.", template=THINKING_TEMPLATE)
    desk = desk_of(backend)
    assert switch(desk).isVisible()
    assert switch(desk).isChecked()
    desk.say("Where?")
    finish(desk, qtbot)
    assert backend.prompts[0] == b"[user]Where?[assistant]<think>"
    assert desk.chats.current.turns[1].parts == (Reasoning("It is in"), Text("Paris."))

    qtbot.mouseClick(switch(desk), Qt.MouseButton.LeftButton)
    assert not switch(desk).isChecked()
    backend.pieces = ("Yes.",)
    desk.say("Sure?")
    finish(desk, qtbot)
    # What was thought before goes to the template, which decides whether the model sees it.
    assert backend.prompts[1] == (
        b"[user]Where?[assistant]<think>It is in</think>Paris.[user]Sure?[assistant]"
    )

    first = desk.chats.current.chat
    desk.chats.new()
    assert switch(desk).isChecked()
    desk.open_chat(qtbot, first)
    qtbot.waitUntil(lambda: not switch(desk).isChecked())
    assert switch(desk).accessibleName() == "Think before answering: off"


def test_what_is_chosen_before_the_first_message_is_kept_with_it(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Yes."))
    chat = desk.chats.current.chat
    switch(desk).click()
    assert desk.records.thinking(chat).result() is None  # there is no chat yet
    desk.say("Sure?")
    finish(desk, qtbot)

    assert desk.records.thinking(chat).result() is False


def test_how_hard_to_think_is_chosen_from_a_menu(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Yes."))
    (pocket, *_) = desk.store.list()
    facts = {"thinking_switch": False, "thinking_effort": True}
    model = replace(pocket, details=replace(pocket.details, **facts))
    desk.chats.use_model("pocket:latest", model)
    assert switch(desk).text() == "Think: medium"

    switch(desk).click()
    (menu,) = switch(desk).findChildren(QMenu)
    assert [each.text() for each in menu.actions()] == ["Low", "Medium", "High"]
    assert [each.isChecked() for each in menu.actions()] == [False, True, False]
    menu.actions()[2].trigger()
    menu.close()

    assert switch(desk).text() == "Think: high"
    assert desk.chats.current.thinking.chosen == "high"


def test_a_model_that_cannot_think_has_no_switch_and_is_told_nothing(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Yes."))
    (pocket, *_) = desk.store.list()
    desk.chats.use_model(
        "pocket:latest", replace(pocket, details=replace(pocket.details, thinking=False))
    )

    assert not switch(desk).isVisible()
    asked = []
    submit = desk.residency.submit
    desk.residency.submit = lambda request, sink, **about: (
        asked.append(request) or submit(request, sink, **about)
    )
    desk.say("Sure?")
    finish(desk, qtbot)
    assert asked[0].thinking is None
    assert asked[0].prompt == (user("Sure?"),)
