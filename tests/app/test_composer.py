import pytest
from PySide6.QtCore import Qt

from app.chat.composer import Composer
from app.theme import LIGHT


@pytest.fixture
def composer(qtbot):
    made = Composer(LIGHT)
    qtbot.addWidget(made)
    made.resize(600, 60)
    made.show()
    yield made


def test_enter_sends_and_shift_enter_begins_a_line(composer, qtbot) -> None:
    sent: list[str] = []
    composer.sent.connect(sent.append)

    qtbot.keyClicks(composer.input, "one")
    qtbot.keyClick(composer.input, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.input, "two")
    assert sent == []
    qtbot.keyClick(composer.input, Qt.Key.Key_Return)

    assert sent == ["one\ntwo"]
    assert composer.input.toPlainText() == ""


def test_nothing_is_not_sent(composer, qtbot) -> None:
    sent: list[str] = []
    composer.sent.connect(sent.append)

    qtbot.keyClicks(composer.input, "  ")
    qtbot.keyClick(composer.input, Qt.Key.Key_Return)

    assert sent == []
    assert not composer.button.isEnabled()


def test_it_grows_to_eight_lines_and_shrinks_again(composer, qtbot) -> None:
    heights: list[int] = []
    for lines in (1, 2, 8, 9, 50):
        composer.input.setPlainText("\n".join("line" for _ in range(lines)))
        heights.append(composer.input.height())

    assert heights[0] < heights[1] < heights[2] == heights[3] == heights[4]
    composer.input.clear()
    assert composer.input.height() == heights[0]


def test_while_a_reply_is_written_the_button_stops_it(composer, qtbot) -> None:
    stops: list[None] = []
    composer.stopped.connect(lambda: stops.append(None))
    composer.set_busy(True)
    assert composer.button.accessibleName() == "Stop"

    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    qtbot.keyClick(composer.input, Qt.Key.Key_Escape)

    assert len(stops) == 2


def test_enter_while_a_reply_is_written_keeps_the_draft(composer, qtbot) -> None:
    told: list[object] = []
    composer.sent.connect(told.append)
    composer.stopped.connect(lambda: told.append(None))
    composer.set_busy(True)

    qtbot.keyClicks(composer.input, "next")
    qtbot.keyClick(composer.input, Qt.Key.Key_Return)

    assert told == []
    assert composer.input.toPlainText() == "next"
