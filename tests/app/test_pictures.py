"""Pictures in the window: taken, shown, sent, kept, and told of to who cannot see them."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from app.chat.attachment_bar import AttachmentBar
from app.chat.pictures import PASTED
from app.chat.shown import Aside, Pictures, Said, shown_of
from app.chat.thumbnail import Gallery, Thumbnail
from app.chat.viewer import Viewer
from app.icons import IconButton
from models.chat import Image, KeptFile, Message, Text, ToolCall, ToolResult, user
from models.model import Model
from models.records.values import Turn, user_turn
from tests.app import conftest
from tests.app.conftest import Desk
from tests.fakes import ScriptedBackend

Button = TypeVar("Button", IconButton, Thumbnail)
RED, BLUE = QColor("#c03020"), QColor("#2040c0")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two pictures, one of one colour each."""
    made: list[Path] = []
    for name, color in (("red.png", RED), ("a blue one.bmp", BLUE)):
        image = QImage(40, 20, QImage.Format.Format_RGB32)
        image.fill(color)
        image.save(str(tmp_path / name))
        made.append(tmp_path / name)
    return made


def images_of(files: Sequence[Path]) -> list[Image]:
    return [Image(file.read_bytes(), name=file.name) for file in files]


def mime_of(*files: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(file)) for file in files])
    return mime


def attached(desk: Desk) -> list[str]:
    return [each.image.name for each in desk.window.chat.composer.attachments.taken]


def attach(desk: Desk, qtbot, files: Sequence[Path]) -> None:
    pictures = desk.window.chat.composer.attachments
    wanted = len(pictures.taken) + len(files)
    pictures.add_files(files)
    qtbot.waitUntil(lambda: len(pictures.taken) == wanted)


def bar(desk: Desk) -> AttachmentBar:
    return desk.window.chat.composer.bar


def note(desk: Desk) -> str:
    labels = bar(desk).findChildren(QLabel)
    return " ".join(each.text() for each in labels if each.isVisible() and each.text())


def seen(desk: Desk, qtbot, kind: type[Button], count: int) -> list[Button]:
    """Return the buttons of a kind in the bar, once there are so many."""

    def visible() -> list[Button]:
        return [each for each in bar(desk).findChildren(kind) if each.isVisible()]

    qtbot.waitUntil(lambda: len(visible()) == count)
    return visible()


def offer(desk: Desk) -> str:
    buttons = bar(desk).findChildren(QPushButton)
    links = [each for each in buttons if each.property("kind") == "link" and each.isVisible()]
    return links[0].text() if links else ""


def eavesdrop(desk: Desk) -> list[tuple[Message, ...]]:
    """Return the list that every prompt will be in; no model answers."""
    prompts: list[tuple[Message, ...]] = []

    def note(request, sink, **about):
        prompts.append(tuple(map(with_files, request.prompt)))
        return 1

    desk.residency.submit = note
    return prompts


def with_files(message: Message) -> Message:
    """The same with the pictures themselves, which the window leaves on the disk."""
    assert not any(
        isinstance(each, Image) and isinstance(each.source, bytes) for each in message.parts
    )
    parts = (
        replace(each, source=each.source.read())
        if isinstance(each, Image) and isinstance(each.source, KeptFile)
        else each
        for each in message.parts
    )
    return replace(message, parts=tuple(parts))


def use(desk: Desk, *, sees: bool) -> Model:
    (pocket, *_) = desk.store.list()
    model = replace(pocket, details=replace(pocket.details, vision=sees))
    desk.chats.use_model("pocket:latest", model)
    return model


def middle(thumbnail: Thumbnail) -> QColor:
    image = thumbnail.grab().toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2)


def thumbnails(desk: Desk) -> list[Thumbnail]:
    rows = sorted(desk.window.chat.transcript.rows.items())
    return [each for _, row in rows for each in row.findChildren(Thumbnail)]


def test_pictures_are_pasted_as_files_and_as_what_they_are(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    field = desk.window.chat.composer.input
    QGuiApplication.clipboard().setMimeData(mime_of(*files))
    field.paste()
    qtbot.waitUntil(lambda: attached(desk) == ["red.png", "a blue one.bmp"])

    QGuiApplication.clipboard().setImage(QImage(str(files[0])))
    field.paste()
    qtbot.waitUntil(lambda: attached(desk)[2:] == [PASTED])
    pasted = desk.window.chat.composer.attachments.taken[-1].image
    assert isinstance(pasted.source, bytes)
    assert pasted.source.startswith(b"\x89PNG")

    from_the_web = QMimeData()
    from_the_web.setUrls([QUrl("https://example.org/red.png")])
    from_the_web.setImageData(QImage(str(files[0])))
    QGuiApplication.clipboard().setMimeData(from_the_web)
    field.paste()
    qtbot.waitUntil(lambda: attached(desk)[2:] == [PASTED] * 2)
    assert field.toPlainText() == ""

    both = QMimeData()  # as office programs copy: the text is what is meant
    both.setText("Sum: 12")
    both.setImageData(QImage(str(files[0])))
    QGuiApplication.clipboard().setMimeData(both)
    field.paste()
    assert field.toPlainText() == "Sum: 12"
    assert len(attached(desk)) == 4


def test_pictures_are_dropped_anywhere_on_the_chat(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    page = desk.window.chat
    mime = mime_of(*files)
    about = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier(0))
    enter = QDragEnterEvent(QPoint(200, 200), *about)
    QApplication.sendEvent(page, enter)
    assert enter.isAccepted()
    assert page.composer.property("drop")

    QApplication.sendEvent(page, QDropEvent(QPointF(200, 200), *about))
    qtbot.waitUntil(lambda: len(attached(desk)) == 2)

    assert not page.composer.property("drop")
    text = QMimeData()
    text.setText("no picture")
    ignored = QDragEnterEvent(QPoint(200, 200), about[0], text, *about[2:])
    ignored.ignore()
    QApplication.sendEvent(page, ignored)
    assert not ignored.isAccepted()


def test_what_is_no_picture_is_told_and_not_taken(desk_of, qtbot, files, tmp_path) -> None:
    desk = desk_of(ScriptedBackend())
    half = tmp_path / "half.png"
    half.write_bytes(files[0].read_bytes()[:60])
    attach(desk, qtbot, files[:1])

    for path in (half, tmp_path / "gone.png", tmp_path):
        desk.window.chat.composer.attachments.add_files([path])
        qtbot.waitUntil(lambda path=path: path.name in note(desk))
        assert attached(desk) == ["red.png"]
    assert offer(desk) == ""

    attach(desk, qtbot, files[1:])
    assert "gone.png" not in note(desk)


def test_a_picture_is_taken_away_again(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    attach(desk, qtbot, files)
    crosses = seen(desk, qtbot, IconButton, 2)
    assert [each.accessibleName() for each in crosses] == [
        "Remove picture 1 of 2",
        "Remove picture 2 of 2",
    ]

    qtbot.mouseClick(crosses[0], Qt.MouseButton.LeftButton)
    assert attached(desk) == ["a blue one.bmp"]

    (left,) = seen(desk, qtbot, Thumbnail, 1)
    qtbot.keyClick(left, Qt.Key.Key_Delete)
    assert attached(desk) == []
    assert not bar(desk).isVisible()


def test_many_pictures_do_not_make_a_narrow_window_wider(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    attach(desk, qtbot, files * 9)
    desk.window.resize(520, 500)
    qtbot.waitUntil(lambda: desk.window.width() == 520)

    def shown() -> list[Thumbnail]:
        return [each for each in bar(desk).findChildren(Thumbnail) if each.isVisible()]

    qtbot.waitUntil(lambda: note(desk).startswith(f"and {18 - len(shown())} more"))
    edge = bar(desk).width()
    assert 2 < len(shown()) < 18
    assert all(each.mapTo(bar(desk), each.rect().topRight()).x() < edge for each in shown())


def test_pictures_go_with_the_message_and_with_all_that_follow(
    desk_of, qtbot, files, inglenook_home
) -> None:
    desk = desk_of(ScriptedBackend())
    use(desk, sees=True)
    prompts = eavesdrop(desk)
    attach(desk, qtbot, files)  # whichever is read first
    desk.say("Which is red?")
    qtbot.waitUntil(lambda: bool(prompts))

    asked = Message("user", (*images_of(files), Text("Which is red?")))
    assert prompts == [(asked,)]
    assert attached(desk) == []
    chat = desk.chats.current.chat
    desk.chats.current.close()
    desk.chats.new()
    desk.open_chat(qtbot, chat)
    assert with_files(desk.chats.current.turns[0].message) == asked
    assert len(list((inglenook_home / "blobs").iterdir())) == 2

    desk.say("And which is blue?")
    qtbot.waitUntil(lambda: len(prompts) == 2)
    assert prompts[1][0] == asked
    desk.chats.current.close()


def test_a_picture_alone_is_a_message_and_names_the_chat(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    use(desk, sees=True)
    prompts = eavesdrop(desk)
    attach(desk, qtbot, files[:1])

    desk.window.chat.composer.button.click()
    qtbot.waitUntil(lambda: bool(prompts))

    assert prompts == [(Message("user", tuple(images_of(files[:1]))),)]
    qtbot.waitUntil(lambda: [each.title for each in desk.chats.entries] == ["red.png"])
    desk.chats.current.close()


def test_pictures_of_a_chat_are_small_and_open_large(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(qtbot, user_turn("Which is red?", images_of(files)))
    red, blue = thumbnails(desk)
    qtbot.waitUntil(lambda: middle(red) == RED and middle(blue) == BLUE)
    row = desk.window.chat.transcript.rows[0]
    assert row.accessibleName() == ("You: Which is red? (with 2 pictures: red.png, a blue one.bmp)")
    assert red.accessibleName() == "Picture 1 of 2: red.png"

    red.setFocus()
    qtbot.keyClick(red, Qt.Key.Key_Return)
    (viewer,) = desk.window.findChildren(Viewer)
    qtbot.waitUntil(lambda: viewer.shown is not None)
    assert viewer.size() == desk.window.size()
    assert (viewer.shown.width(), viewer.shown.height()) == (40, 20)
    assert viewer.accessibleName() == "Picture: red.png"
    desk.window.resize(800, 600)
    qtbot.waitUntil(lambda: viewer.size() == desk.window.size())
    qtbot.keyClick(viewer, Qt.Key.Key_Tab)
    assert viewer.hasFocus()

    qtbot.keyClick(viewer, Qt.Key.Key_Escape)
    assert not viewer.isVisible()
    assert red.hasFocus()


def test_a_picture_that_cannot_be_shown_says_why(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    away = "https://example.org/cat.png"
    desk.open_past(qtbot, user_turn("", [Image(b"no picture"), Image(away)]))
    broken, elsewhere = thumbnails(desk)

    qtbot.waitUntil(lambda: "no picture that can be read" in broken.accessibleDescription())
    assert away in elsewhere.accessibleDescription()
    elsewhere.click()
    (viewer,) = desk.window.findChildren(Viewer)
    assert "not fetched" in " ".join(each.text() for each in viewer.findChildren(QLabel))
    qtbot.mouseClick(viewer, Qt.MouseButton.LeftButton)
    assert not viewer.isVisible()


def test_what_is_shown_of_a_turn_is_in_its_order() -> None:
    picture = Image(b"1")
    result = ToolResult("1", (Text("Taken."), picture), "screenshot")
    turn = Turn(
        role="assistant",
        parts=(Text("a"), picture, picture, Text("b"), ToolCall("1", "f", "{}"), result),
    )

    assert shown_of(turn) == [
        Said("a", growing=False),
        Pictures((picture, picture)),
        Said("b", growing=False),
        Aside("Asked for f()", "{}", code=True),
        Aside("screenshot answered: Taken.", "Taken.", code=True),
        Pictures((picture,)),
    ]


def test_pictures_stand_in_lines_that_fit(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    desk.open_past(qtbot, user_turn("", images_of(files[:1]) * 7))
    (gallery,) = desk.window.chat.transcript.rows[0].findChildren(Gallery)

    for width in (600, 1000):
        desk.window.resize(width, 700)
        qtbot.waitUntil(lambda width=width: desk.window.width() == width)
        places = [each.geometry() for each in gallery.findChildren(Thumbnail)]
        assert all(gallery.rect().contains(each) for each in places)
        assert not any(a.intersects(b) for a in places for b in places if a is not b)


@pytest.fixture
def without_eyes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no model that is built in see."""
    eyes = shutil.ignore_patterns("mmproj*", "vision")
    folder = shutil.copytree(conftest.POCKET, tmp_path / "pocket", ignore=eyes)
    monkeypatch.setattr(conftest, "POCKET", folder)


@pytest.mark.usefixtures("without_eyes")
def test_a_model_without_eyes_says_so_before_anything_is_sent(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    prompts = eavesdrop(desk)
    assert note(desk) == ""
    attach(desk, qtbot, files[:1])
    desk.window.chat.composer.input.setPlainText("What is it?")

    assert note(desk) == "pocket does not see pictures."
    assert offer(desk) == "Get one that does"
    assert not desk.window.chat.composer.button.isEnabled()
    qtbot.keyClick(desk.window.chat.composer.input, Qt.Key.Key_Return)
    assert prompts == []
    assert attached(desk) == ["red.png"]

    use(desk, sees=True)
    assert note(desk) == ""
    assert desk.window.chat.composer.button.isEnabled()
    use(desk, sees=False)
    button = next(each for each in bar(desk).findChildren(QPushButton) if each.text())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert desk.window.page == "models"


@pytest.mark.usefixtures("without_eyes")
def test_one_that_sees_is_offered_where_there_is_one(desk_of, qtbot, files, testdata: Path) -> None:
    desk = desk_of(ScriptedBackend())
    folder = testdata / "models/tinychat"
    main = next(each for each in folder.glob("*.gguf") if "mmproj" not in each.name)
    desk.store.import_path(main, "seer")
    desk.library.refresh()
    qtbot.waitUntil(lambda: desk.library.seeing is not None)
    attach(desk, qtbot, files[:1])
    assert offer(desk) == "Use seer"

    bar(desk).advised.emit()

    assert desk.window.header.picker.choice == "seer:latest"
    assert note(desk) == ""
    assert attached(desk) == ["red.png"]


def test_a_chat_with_pictures_goes_on_with_a_model_that_does_not_see(desk_of, qtbot, files) -> None:
    desk = desk_of(ScriptedBackend())
    result = ToolResult("1", (Text("Taken."), *images_of(files[1:])), "screenshot")
    desk.open_past(
        qtbot,
        user_turn("What is it?", images_of(files[:1])),
        Turn(role="assistant", parts=(Text("It is red."),)),
        Turn(role="tool", parts=(result,)),
    )
    prompts = eavesdrop(desk)
    use(desk, sees=False)
    assert note(desk) == "pocket does not see the pictures of this chat."

    desk.say("Sure?")
    qtbot.waitUntil(lambda: bool(prompts))

    assert prompts[0] == (
        Message("user", (Text("[a picture: red.png]"), Text("What is it?"))),
        Message("assistant", (Text("It is red."),)),
        Message(
            "tool",
            (replace(result, parts=(Text("Taken."), Text("[a picture: a blue one.bmp]"))),),
        ),
        user("Sure?"),
    )
    desk.chats.current.close()
