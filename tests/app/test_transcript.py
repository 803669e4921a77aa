import time
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QTextBrowser, QTextEdit

from app.chat.blocks import CodeBlock, CopyButton, TextBlock, open_link
from app.chat.rows import ReplyRow
from app.chat.transcript import Transcript
from app.theme import DARK
from models.chat import Text
from models.records.values import Turn
from tests.app.conftest import Babbler
from tests.fakes import ScriptedBackend

CODE = "Here:\n\n```python\nimport os\n\nprint(os.name)\n```\n\nThat is all."
LONG = "One paragraph.\n\n" * 60


def history(desk, qtbot, count: int) -> None:
    """Fill the chat that is open with turns of days past."""
    said = [Text(f"Turn {position}. " * 20) for position in range(count)]
    desk.open_past(
        qtbot,
        *(
            Turn(role="assistant" if position % 2 else "user", parts=(text,))
            for position, text in enumerate(said)
        ),
    )


def transcript(desk) -> Transcript:
    return desk.window.chat.transcript


def bar(desk):
    return transcript(desk).verticalScrollBar()


def wheel_up(desk) -> None:
    viewport = transcript(desk).viewport()
    at = QPointF(viewport.rect().center())
    event = QWheelEvent(
        at,
        QPointF(viewport.mapToGlobal(viewport.rect().center())),
        QPoint(),
        QPoint(0, 1200),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(viewport, event)


def finish(desk, qtbot) -> None:
    qtbot.waitUntil(lambda: not desk.chats.current.busy and bool(desk.chats.current.turns))


def notes_of(row: ReplyRow) -> list[str]:
    labels = row.findChildren(QLabel)
    return [each.text() for each in labels if each.isVisible() and "left out" in each.text()]


def reply_of(desk, qtbot, text: str) -> ReplyRow:
    """Open a chat with this reply in it."""
    desk.open_past(qtbot, Turn(role="assistant", parts=(Text(text),), model="pocket:latest"))
    qtbot.waitUntil(lambda: bool(desk.reply_rows()))
    return desk.reply_rows()[0]


def read_in(row: ReplyRow) -> str:
    return "\n".join(each.toPlainText() for each in row.findChildren(QTextEdit))


def test_only_rows_in_sight_have_widgets(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    history(desk, qtbot, 500)

    assert 0 < len(transcript(desk).rows) < 20
    assert max(transcript(desk).rows) == 499

    bar(desk).setValue(0)
    assert 0 < len(transcript(desk).rows) < 20
    assert min(transcript(desk).rows) == 0


def test_the_rows_in_sight_touch_and_cover_the_view(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    history(desk, qtbot, 100)
    for value in (0, 777, 3333, bar(desk).maximum() // 2, bar(desk).maximum()):
        bar(desk).setValue(value)
        rows = [row for _, row in sorted(transcript(desk).rows.items())]
        edges = [(row.y(), row.y() + row.height()) for row in rows]

        assert all(above[1] == below[0] for above, below in pairwise(edges))
        assert edges[0][0] <= 0
        assert edges[-1][1] >= transcript(desk).viewport().height()


def test_the_view_follows_a_reply_to_its_end(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend(*(word + " " for word in LONG.split(" "))))

    desk.say("Go on")
    finish(desk, qtbot)

    assert bar(desk).maximum() > 0
    assert bar(desk).value() == bar(desk).maximum()


def test_a_reader_who_scrolled_up_is_left_where_they_are(desk_of, qtbot) -> None:
    desk = desk_of(Babbler("Once "))
    history(desk, qtbot, 40)
    desk.say("Tell me a story")
    qtbot.waitUntil(lambda: desk.chats.current.turns[-1].text.startswith("Once"))

    wheel_up(desk)
    rows = transcript(desk).rows
    watched = min(rows)
    before = rows[watched].y()
    said = len(desk.chats.current.turns[-1].text)
    qtbot.waitUntil(lambda: len(desk.chats.current.turns[-1].text) > said + 100)

    assert not transcript(desk).following
    assert transcript(desk).rows[watched].y() == before

    transcript(desk).follow()
    assert bar(desk).value() == bar(desk).maximum()


def test_streaming_touches_the_last_block_alone(desk_of, qtbot) -> None:
    desk = desk_of(Babbler("First.\n\n", "Second.\n\n", "Third "))
    desk.say("Go on")
    qtbot.waitUntil(lambda: "Third ." in desk.chats.current.turns[-1].text)
    row = desk.reply_rows()[0]
    first = row.findChildren(TextBlock)[0]
    edits: list[None] = []
    first.textChanged.connect(lambda: edits.append(None))

    said = len(desk.chats.current.turns[-1].text)
    qtbot.waitUntil(lambda: len(desk.chats.current.turns[-1].text) > said + 50)

    assert row.findChildren(TextBlock)[0] is first
    assert edits == []


def test_code_is_copied_with_one_click(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend(CODE))
    desk.say("Show me code")
    finish(desk, qtbot)
    button = desk.reply_rows()[0].findChild(CodeBlock).findChild(CopyButton)

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    assert QGuiApplication.clipboard().text() == "import os\n\nprint(os.name)"
    assert button.accessibleName() == "Copied"


def test_a_whole_reply_is_copied_as_markdown(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend(CODE))
    desk.say("Show me code")
    finish(desk, qtbot)
    buttons = desk.reply_rows()[0].findChildren(CopyButton)
    button = next(each for each in buttons if each.accessibleName() == "Copy reply")

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    assert QGuiApplication.clipboard().text() == CODE


def test_code_gets_its_colours(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend(CODE))
    desk.say("Show me code")
    finish(desk, qtbot)
    document = desk.reply_rows()[0].findChild(CodeBlock).findChild(QTextEdit).document()

    def colors() -> set[str]:
        formats = document.firstBlock().layout().formats()
        return {each.format.foreground().color().name() for each in formats}

    qtbot.waitUntil(lambda: len(colors()) > 0)
    assert colors() <= set(desk.appearance.theme.code_colors.values())


def test_no_line_of_code_is_cut_off_at_any_width(desk_of, qtbot) -> None:
    desk = desk_of(
        ScriptedBackend("```\n" + "\n".join(f"line {n} 你好 😀" for n in range(9)) + "\n```")
    )
    desk.say("Show me code")
    finish(desk, qtbot)
    for width in (1000, 700, 560, 1200):
        desk.window.resize(width, 700)
        qtbot.waitUntil(lambda width=width: desk.window.width() == width)
        view = desk.reply_rows()[0].findChild(CodeBlock).findChild(QTextEdit)
        assert view.viewport().height() >= view.document().size().height()


def test_the_bubble_is_as_wide_as_its_words(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("Hi")
    finish(desk, qtbot)
    short = transcript(desk).rows[0].findChildren(TextBlock)[0].width()

    desk.say("A much longer message than that one was, but still on one line.")
    finish(desk, qtbot)
    longer = transcript(desk).rows[2].findChildren(TextBlock)[0].width()

    assert short < 40 < longer < transcript(desk).viewport().width() * 0.9


def test_what_the_user_wrote_is_shown_as_it_stands(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("**not bold** <b>nor this</b>\n  second line")
    finish(desk, qtbot)

    text = transcript(desk).rows[0].findChildren(TextBlock)[0].toPlainText()
    assert text == "**not bold** <b>nor this</b>\n  second line"


@pytest.mark.parametrize(
    "nested",
    [
        ">" * 20 + " word",
        "> " * 6 + "word",
        "> " * 200 + "word",
        ">" * 10_000 + " word",
        "- " * 20 + "word",
        "- " * 200 + "word",
        "- " * 10_000 + "word",
        "> - 1. " * 10_000 + "word",
        "\n".join("> " * depth + "line" for depth in range(1, 100)) + "\n\nword",
        "\n".join("  " * depth + "- line" for depth in range(100)) + "\n\nword",
        "*a **b " * 5_000 + "a* b** " * 5_000 + "word",
        "- a\n" * 5_000 + "\nword",
        ("|" + "a|" * 500 + "\n|" + "-|" * 500 + "\n") + ("|" + "b|" * 500 + "\n") * 20 + "\nword",
        "a" * 100_000 + " word",
    ],
    ids=lambda text: text[:12],
)
def test_no_reply_keeps_the_window_waiting(desk_of, qtbot, nested: str) -> None:
    desk = desk_of(ScriptedBackend())

    began = time.process_time()
    row = reply_of(desk, qtbot, nested + "\n\nThe rest.")
    desk.window.resize(700, 700)
    QApplication.processEvents()

    assert time.process_time() - began < 8  # one at most; unbounded, minutes
    assert "word" in read_in(row)
    assert "The rest." in read_in(row)


def test_lines_stay_lines_in_the_window(desk_of, qtbot) -> None:
    row = reply_of(
        desk_of(ScriptedBackend()), qtbot, "Roses are red,\nViolets are blue,\nSugar is sweet."
    )

    assert read_in(row).split("\n") == ["Roses are red,", "Violets are blue,", "Sugar is sweet."]


def test_an_address_in_a_reply_can_be_clicked(desk_of, qtbot) -> None:
    row = reply_of(desk_of(ScriptedBackend()), qtbot, "See https://example.com/a_b?x=1 for more.")
    text = row.findChildren(TextBlock)[0]
    x, y = 60, text.height() // 2

    assert text.anchorAt(QPoint(x, y)) == "https://example.com/a_b?x=1"


def test_a_quote_stands_in_with_a_bar_beside_it(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    row = reply_of(desk, qtbot, "Out\n\n> one\n>\n> two\n>\n> > deep\n\nOut again")
    out, one, two, deep, again = row.findChildren(TextBlock)
    line = desk.appearance.theme.line
    picture = row.grab().toImage()

    def bars_at(y: int) -> list[int]:
        row_of_pixels = range(out.x(), deep.x())
        return [x for x in row_of_pixels if picture.pixelColor(x, y).name() == line]

    assert out.x() == again.x() < one.x() == two.x() < deep.x()
    assert bars_at(out.y() + 5) == bars_at(again.y() + 5) == []
    between = (one.y() + one.height() + two.y()) // 2
    assert bars_at(one.y() + 5) == bars_at(between) == [out.x(), out.x() + 1, out.x() + 2]
    assert len(bars_at(deep.y() + 5)) == 6


def test_a_heading_is_as_large_as_the_style_sheet_says(desk_of, qtbot) -> None:
    row = reply_of(desk_of(ScriptedBackend()), qtbot, "# Large\n\n## Less\n\n### Small")
    sizes = [
        block.document().firstBlock().begin().fragment().charFormat().font().pixelSize()
        for block in row.findChildren(TextBlock)
    ]

    assert sizes == [21, 18, 16]


def test_a_message_without_a_space_is_pasted_and_drawn_at_once(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Thanks."))
    composer = desk.window.chat.composer
    pasted = "x" * 400_000
    QGuiApplication.clipboard().setText(pasted)

    began = time.process_time()
    composer.input.paste()
    composer.button.click()
    finish(desk, qtbot)
    bar(desk).setValue(0)
    QApplication.processEvents()

    assert time.process_time() - began < 8  # one or two; it took minutes
    assert transcript(desk).rows[0].findChildren(TextBlock)[0].toPlainText() == pasted


def test_a_failure_stands_in_the_chat_and_can_be_tried_again(desk_of, qtbot) -> None:
    backend = ScriptedBackend("Paris.", loading_steps=1)
    desk = desk_of(backend)
    desk.chats.use_model("org/gone")
    desk.say("What is the capital of France?")
    finish(desk, qtbot)
    sentences = [label.text() for label in desk.reply_rows()[0].findChildren(QLabel)]
    assert "Model 'org/gone' is not on this computer." in sentences
    assert QApplication.activeModalWidget() is None

    desk.chats.use_model("pocket:latest")
    desk.reply_rows()[0].retry_asked.emit()
    finish(desk, qtbot)

    assert desk.chats.current.turns[-1].text == "Paris."


def test_a_chat_that_is_too_long_says_what_can_be_done(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Paris.", context_length=2048))
    desk.say("word " * 4000)
    finish(desk, qtbot)

    assert desk.chats.current.turns[-1].error == (
        "This message is longer than the 2,048 tokens that the model has room for: "
        "shorten it, or choose another context length in the settings."
    )


def test_a_chat_that_has_grown_too_long_goes_on_and_says_what_was_left_out(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Paris.", context_length=1024))
    for _ in range(3):
        desk.say("word " * 40)
        finish(desk, qtbot)
        assert notes_of(desk.reply_rows()[-1]) == []

    desk.say("Where is the Eiffel Tower, and who built it? " * 12)
    finish(desk, qtbot)

    turn = desk.chats.current.turns[-1]
    assert (turn.text, turn.error) == ("Paris.", "")
    assert notes_of(desk.reply_rows()[-1]) == [
        f"The {turn.dropped_messages} oldest messages no longer fit and were left out"
    ]


def test_the_end_of_a_reply_tells_how_fast_it_was(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(
        qtbot,
        *(
            Turn(
                role="assistant",
                parts=(Text("Paris."),),
                model="pocket:latest",
                completion_tokens=tokens,
                decode_seconds=seconds,
            )
            for tokens, seconds in ((300, 2.0), (84, 2.0), (8, 0.001))
        ),
    )

    words = [label.text() for row in desk.reply_rows() for label in row.findChildren(QLabel)]
    assert "pocket  ·  300 tokens  ·  150 tokens/s" in words
    assert "pocket  ·  84 tokens  ·  42.0 tokens/s" in words
    assert "pocket  ·  8 tokens" in words  # too short a reply to measure


def test_the_chat_has_a_frame_where_the_tab_key_has_come_to_it(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    history(desk, qtbot, 4)
    view = transcript(desk).viewport()

    def has_frame() -> bool:
        edge = view.grab().toImage().pixelColor(0, view.height() // 2)
        return edge.name() == desk.appearance.theme.accent

    transcript(desk).setFocus(Qt.FocusReason.TabFocusReason)
    assert has_frame()
    desk.window.chat.composer.setFocus()
    assert not has_frame()
    transcript(desk).setFocus(Qt.FocusReason.MouseFocusReason)
    assert not has_frame()  # who clicks knows where


def test_a_chat_can_be_read_in_the_dark(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend(CODE))
    desk.say("Show me code")
    finish(desk, qtbot)

    desk.appearance.choose("dark")

    row = desk.reply_rows()[0]
    assert row.findChildren(TextBlock)[0].toPlainText().strip() == "Here:"
    palette = row.findChild(QTextBrowser).palette()
    assert palette.text().color().name() == DARK.text


def test_only_links_that_can_do_no_harm_are_opened(monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        "app.chat.blocks.QDesktopServices.openUrl", lambda url: opened.append(url.toString())
    )
    for link in (
        "https://example.com/",
        "http://example.com/",
        "mailto:a@example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "smb://host/share",
        "x-apple.systempreferences:",
    ):
        open_link(QUrl(link))

    assert opened == ["https://example.com/", "http://example.com/", "mailto:a@example.com"]


def test_nothing_is_fetched_for_a_text(desk_of, qtbot) -> None:
    block = TextBlock(DARK)
    qtbot.addWidget(block)

    assert block.loadResource(2, QUrl("https://example.com/cat.png")) is None
    assert block.loadResource(2, QUrl("file:///etc/passwd")) is None
