import os
import sys
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QProgressBar, QPushButton, QWidget

from app import words
from app.manager.library import free_name
from app.manager.pace import Pace, time_words
from app.manager.rows import DownloadRow, ModelRow, ResultRow
from app.manager.window import ModelsPage
from models.names import ModelName
from tests.app.conftest import POCKET, Babbler
from tests.fakes import ScriptedBackend
from tests.gguf_bytes import TINY, gguf_bytes


@pytest.fixture
def desk(desk_of):
    made = desk_of(ScriptedBackend("Hello."))
    made.window.show_page("models")
    yield made


Row = TypeVar("Row", bound=QWidget)


def page(desk) -> ModelsPage:
    return desk.window.findChild(ModelsPage)


def rows(desk, kind: type[Row]) -> list[Row]:
    """Return the rows of a kind, from the top down."""
    QApplication.processEvents()  # Qt shows what is new in a layout a moment later
    shown = [row for row in page(desk).findChildren(kind) if row.isVisible()]
    return sorted(shown, key=lambda row: row.y())


def words_of(widget: QWidget) -> str:
    return " ".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


def click(qtbot, widget: QWidget, words: str) -> None:
    button = next(
        each
        for each in widget.findChildren(QPushButton)
        if each.text() == words and each.isVisible()
    )
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def buttons(widget: QWidget) -> list[QPushButton]:
    return widget.findChildren(QPushButton)


def model_names(desk) -> list[str]:
    return [row.accessibleName() for row in rows(desk, ModelRow)]


def begin_download(desk, qtbot) -> DownloadRow:
    page(desk).search.setText("tiny")
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(rows(desk, ResultRow)) == 1)
    click(qtbot, rows(desk, ResultRow)[0], "Download")
    qtbot.waitUntil(
        lambda: any("250 kB of 1.0 MB" in words_of(row) for row in rows(desk, DownloadRow))
    )
    return rows(desk, DownloadRow)[0]


# -- Here ---------------------------------------------------------------------


def test_each_model_tells_its_size_and_what_runs_it(desk) -> None:
    assert model_names(desk)[0] == "pocket"
    pocket = desk.store.find("pocket")
    facts = f"{words.size(pocket.size_bytes)}  ·  llama.cpp  ·  F16  ·  context 2,048"
    assert facts in words_of(rows(desk, ModelRow)[0])


def test_a_model_that_is_loaded_says_so_and_can_be_unloaded(desk, qtbot) -> None:
    desk.chats.current.send("Hi")
    qtbot.waitUntil(lambda: "In memory" in words_of(rows(desk, ModelRow)[0]))

    click(qtbot, rows(desk, ModelRow)[0], "Unload")

    qtbot.waitUntil(lambda: "In memory" not in words_of(rows(desk, ModelRow)[0]))
    assert desk.residency.residents() == ()


def test_a_model_that_answers_says_how_fast_it_is(desk_of, qtbot) -> None:
    desk = desk_of(Babbler())
    desk.window.show_page("models")
    desk.chats.current.send("Hi")

    def state() -> str:
        labels = rows(desk, ModelRow)[0].findChildren(QLabel)
        return next(each.accessibleName() for each in labels if each.objectName() == "tag")

    qtbot.waitUntil(lambda: "tokens/s" in state())
    assert state().startswith("Answering  ·  ")

    desk.chats.current.stop()
    qtbot.waitUntil(lambda: state().startswith("In memory"))
    assert "tokens/s" not in state()


def test_the_open_list_of_models_is_left_alone_while_one_of_them_answers(desk_of, qtbot) -> None:
    desk = desk_of(Babbler())
    desk.window.show_page("models")
    desk.chats.current.send("Hi")
    picker = desk.window.header.picker
    changes: list[object] = []
    desk.library.changed.connect(lambda: changes.append(None))
    # The disk has been looked at, and the model is known to answer.
    qtbot.waitUntil(lambda: picker.count() > 1 and len(changes) >= 1)
    picker.showPopup()
    picker.view().setCurrentIndex(picker.model().index(1, 0))
    changes.clear()
    qtbot.waitUntil(lambda: len(changes) >= 2)

    assert picker.view().isVisible()
    assert picker.view().currentIndex().row() == 1

    picker.hidePopup()
    desk.chats.current.stop()


def test_what_is_loaded_is_in_memory_under_each_of_its_names(desk, qtbot) -> None:
    desk.store.copy("pocket", "other")
    desk.chats.current.send("Hi")

    def said() -> dict[str, bool]:
        return {row.accessibleName(): "In memory" in words_of(row) for row in rows(desk, ModelRow)}

    qtbot.waitUntil(lambda: said() == {"other": True, "pocket": True, "pocket:mlx": False})
    click(qtbot, rows(desk, ModelRow)[1], "Unload")
    qtbot.waitUntil(lambda: not any(said().values()))


def test_a_model_that_writes_no_text_is_shown_and_not_offered_for_a_chat(
    desk, qtbot, tmp_path: Path
) -> None:
    for name, pooling in (("embeds", 1), ("writes", 0)):
        path = tmp_path / f"{name}.gguf"
        template = {"tokenizer.chat_template": "{{ messages }}"}
        path.write_bytes(gguf_bytes(TINY | template | {"tiny.pooling_type": pooling}))
        desk.store.import_path(path, name)
    desk.library.refresh()
    qtbot.waitUntil(lambda: "embeds" in model_names(desk))

    row = next(each for each in rows(desk, ModelRow) if each.accessibleName() == "embeds")
    assert "for embeddings" in words_of(row)
    assert not any(each.text() == "Chat" and each.isVisible() for each in buttons(row))
    picker = desk.window.header.picker
    offered = {picker.itemText(at) for at in range(picker.count())}
    assert {"pocket", "writes"} <= offered
    assert "embeds" not in offered


def test_a_file_becomes_a_model_and_only_a_second_click_removes_it(
    desk, qtbot, tmp_path: Path
) -> None:
    path = tmp_path / "My Model (v2).gguf"
    path.write_bytes((POCKET / "gguf/pocket.gguf").read_bytes())
    desk.library.import_path(path)
    qtbot.waitUntil(lambda: "My-Model-v2" in model_names(desk))
    row = rows(desk, ModelRow)[0]

    click(qtbot, row, "Remove")
    assert "My-Model-v2" in model_names(desk)
    click(qtbot, row, "Really remove?")

    qtbot.waitUntil(lambda: "My-Model-v2" not in model_names(desk))
    assert path.exists()  # it was added where it lay, and is not ours to delete


def test_a_file_that_is_no_model_is_told_on_the_page(desk, qtbot, tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("shopping: milk, eggs")

    desk.library.import_path(path)

    qtbot.waitUntil(lambda: "notes.gguf" in words_of(page(desk)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names")
def test_a_file_whose_name_is_not_utf8_is_told_on_the_page(desk, qtbot, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    path.write_bytes((POCKET / "gguf/pocket.gguf").read_bytes())

    desk.library.import_path(path)

    qtbot.waitUntil(lambda: "not in UTF-8" in words_of(page(desk)))


@pytest.mark.parametrize("name", ["big", "alias", "fjord", "inplace", "My-other-model", "W", "jj"])
def test_a_name_that_has_its_room_is_whole(desk, qtbot, name: str) -> None:
    desk.store.copy("pocket", name)
    qtbot.waitUntil(lambda: name in model_names(desk))

    row = next(each for each in rows(desk, ModelRow) if each.accessibleName() == name)
    assert name in [label.text() for label in row.findChildren(QLabel)]


def test_a_long_name_pushes_no_button_out_of_the_window(desk, qtbot) -> None:
    name = "org/A-Model-Of-A-Very-Long-Name-With-All-That-Was-Done-To-It-v1.5-GGUF:UD-Q4_K_XL"
    desk.store.copy("pocket", name)
    desk.chats.current.send("Hi")  # and so all of them say that they are in memory
    desk.window.resize(desk.window.minimumSize())
    qtbot.waitUntil(lambda: name in model_names(desk))
    long = rows(desk, ModelRow)[0]
    state = next(each for each in long.findChildren(QLabel) if each.objectName() == "tag")
    qtbot.waitUntil(lambda: state.accessibleName().startswith("In memory"))

    for row in rows(desk, ModelRow):
        for each in row.findChildren(QPushButton):
            right = each.mapTo(desk.window, each.rect().bottomRight()).x()
            assert not each.isVisible() or right < desk.window.width()
    label = next(each for each in long.findChildren(QLabel) if each.objectName() == "name")
    assert label.text().startswith("org/")
    assert label.text().endswith("XL")
    assert label.toolTip() == name


def test_the_model_that_ships_cannot_be_removed(desk) -> None:
    row = rows(desk, ModelRow)[0]
    assert not any(
        each.isVisible() for each in row.findChildren(QPushButton) if each.text() == "Remove"
    )


def test_a_model_on_a_disk_that_is_away_is_shown_and_not_offered(
    desk, qtbot, tmp_path: Path
) -> None:
    path = tmp_path / "away.gguf"
    path.write_bytes((POCKET / "gguf/pocket.gguf").read_bytes())
    desk.store.import_path(path, "away")

    path.rename(tmp_path / "elsewhere.gguf")
    desk.library.refresh()

    qtbot.waitUntil(lambda: "Its files are not at" in words_of(rows(desk, ModelRow)[0]))
    assert desk.window.header.picker.findText("away") == -1


def test_a_click_begins_a_chat_with_a_model(desk, qtbot) -> None:
    desk.store.import_path(POCKET / "gguf/pocket.gguf", "org/other")
    desk.library.refresh()
    qtbot.waitUntil(lambda: "org/other" in model_names(desk))

    click(qtbot, rows(desk, ModelRow)[0], "Chat")

    assert desk.window.page == "chat"
    assert desk.window.header.picker.currentText() == "org/other"


# -- On its way ---------------------------------------------------------------


def test_a_finished_download_is_there_at_once(desk, qtbot) -> None:
    row = begin_download(desk, qtbot)
    (bar,) = row.findChildren(QProgressBar)
    assert bar.value() / bar.maximum() == 0.25
    assert "On its way" in [button.text() for button in page(desk).findChildren(QPushButton)]

    desk.hub.go_on.set()

    qtbot.waitUntil(lambda: "org/tiny" in model_names(desk))
    assert rows(desk, DownloadRow) == []
    assert desk.window.header.picker.findText("org/tiny") >= 0


def test_a_download_can_be_stopped_and_resumed(desk, qtbot) -> None:
    row = begin_download(desk, qtbot)

    click(qtbot, row, "Cancel")
    qtbot.waitUntil(lambda: "What has arrived is kept" in words_of(row))
    desk.hub.go_on.set()
    click(qtbot, row, "Resume")

    qtbot.waitUntil(lambda: "org/tiny" in model_names(desk))


def test_a_download_that_fails_says_why_and_can_be_tried_again(desk, qtbot) -> None:
    desk.hub.failures_left = 1
    row = begin_download(desk, qtbot)

    desk.hub.go_on.set()
    qtbot.waitUntil(lambda: "The connection was lost." in words_of(row))
    click(qtbot, row, "Try again")
    qtbot.waitUntil(lambda: len(desk.hub.asked) == 2)
    desk.hub.go_on.set()

    qtbot.waitUntil(lambda: "org/tiny" in model_names(desk))


def test_a_download_that_ended_badly_can_be_dismissed(desk, qtbot) -> None:
    row = begin_download(desk, qtbot)
    click(qtbot, row, "Cancel")
    qtbot.waitUntil(lambda: "What has arrived is kept" in words_of(row))

    click(qtbot, row, "Dismiss")

    qtbot.waitUntil(lambda: rows(desk, DownloadRow) == [])


def test_a_quantisation_can_be_named(desk, qtbot) -> None:
    page(desk).search.setText("org/model-GGUF:Q8_0")
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: desk.hub.asked == ["org/model-GGUF:Q8_0"])


def test_a_pasted_link_is_downloaded(desk, qtbot) -> None:
    page(desk).search.setText("https://huggingface.co/org/model-GGUF/blob/main/a-Q8_0.gguf")
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: desk.hub.asked == ["org/model-GGUF:Q8_0"])


def test_a_link_to_no_model_is_told(desk, qtbot) -> None:
    page(desk).search.setText("https://huggingface.co/org/näme")
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: "cannot be a model's name" in words_of(page(desk)))
    assert rows(desk, DownloadRow) == []


def test_a_second_download_waits_and_can_be_stopped_while_it_does(desk, qtbot) -> None:
    begin_download(desk, qtbot)
    desk.downloads.download("org/second")
    qtbot.waitUntil(lambda: len(rows(desk, DownloadRow)) == 2)
    second, first = rows(desk, DownloadRow)
    assert "Waiting for its turn" in words_of(second)

    click(qtbot, second, "Cancel")
    qtbot.waitUntil(lambda: "can be resumed" in words_of(second))

    assert "250 kB of 1.0 MB" in words_of(first)
    assert desk.hub.asked == ["org/tiny"]


def test_a_download_is_gone_on_with_when_the_program_is_opened_next(desk_of, qtbot) -> None:
    first = desk_of(ScriptedBackend("Hello."))
    first.window.show_page("models")
    begin_download(first, qtbot)
    first.coming.close()

    second = desk_of(ScriptedBackend("Hello."))
    second.window.show_page("models")
    assert "Waiting for its turn" in words_of(rows(second, DownloadRow)[0])
    second.hub.go_on.set()
    second.coming.resume()

    qtbot.waitUntil(lambda: "org/tiny" in model_names(second))


def test_a_search_that_fails_or_finds_nothing_says_so(desk, qtbot) -> None:
    page(desk).search.setText("nothing like it")
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "“nothing like it”" in words_of(page(desk)))

    desk.hub.unreachable = True
    qtbot.keyClick(page(desk).search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "The hub cannot be reached" in words_of(page(desk)))


# -- Words --------------------------------------------------------------------


def test_no_time_is_told_before_the_pace_is_steady() -> None:
    pace = Pace()
    for second in range(3):
        pace.arrived(second, second * 1000)
    assert pace.bytes_per_second == 1000
    assert pace.seconds_left(5000) is None

    for second in range(3, 8):
        pace.arrived(second, second * 1000)
    assert pace.seconds_left(5000) == 5.0


def test_a_pace_that_changes_is_not_steady() -> None:
    pace = Pace()
    for second, arrived in enumerate((0, 100, 200, 300, 3000, 6000, 9000)):
        pace.arrived(second, arrived)

    assert pace.seconds_left(5000) is None


def test_a_pace_forgets_what_was_long_ago() -> None:
    pace = Pace()
    pace.arrived(0, 0)
    for second in range(100, 111):
        pace.arrived(second, (second - 100) * 50)

    assert pace.bytes_per_second == 50


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "a few seconds left"),
        (34, "30 s left"),
        (200, "3 min left"),
        (3600 + 1800, "1 h 30 min left"),
    ],
)
def test_times_are_no_more_exact_than_they_can_be(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_a_file_without_a_good_name_gets_one() -> None:
    taken = {ModelName.parse("model"), ModelName.parse("Llama-3")}

    assert free_name(Path("/x/Llama-3.gguf"), set()) == "Llama-3"
    assert free_name(Path("/x/llama-3.gguf"), taken) == "llama-3-2"
    assert free_name(Path("/x/模型.gguf"), taken) == "model-2"
    assert free_name(Path("/x/my folder.v1"), set()) == "my-folder.v1"
