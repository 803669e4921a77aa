"""The window on a disk that does not answer: it goes on, and shows all when the disk has.

Each test ends with a right answer that comes after the disk is let go, so that a window which
waited for the disk, or gave it up, would fail.
"""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from app import background
from app.chat.session import State
from models.chat import Text
from models.model import Model
from models.records.records import Records
from models.records.values import ChatEntry, Turn, new_id, user_turn
from tests.app.conftest import Desk
from tests.fakes import ScriptedBackend


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the file of the chats, as another program may for a while."""
    other = sqlite3.connect(home / "chats.db")
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


def write_chat(records: Records, title: str) -> str:
    chat, question = new_id(), user_turn(title)
    records.add(chat, title)
    records.put(chat, None, question)
    records.put(chat, question.id, Turn(role="assistant", parts=(Text(f"{title}!"),))).result()
    return chat


@pytest.fixture
def old_home(inglenook_home: Path) -> Path:
    records = Records(inglenook_home)
    for title in ("apples", "pears"):
        write_chat(records, title)
    records.close()
    # Not in WAL mode: there a reader passes by a writer.
    db = sqlite3.connect(inglenook_home / "chats.db")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    return inglenook_home


def titles(desk) -> list[str]:
    return [entry.title for entry in desk.chats.entries]


def test_a_window_opens_while_its_chats_cannot_be_read_yet(qapp, qtbot, old_home: Path) -> None:
    with locked(old_home):
        desk = Desk(qapp, old_home, ScriptedBackend("Hello."))
        desk.window.show()
        desk.window.chat.composer.input.setPlainText("Typed")
        qtbot.waitUntil(lambda: desk.library.known)
        assert titles(desk) == []
        assert desk.window.isVisible()

    qtbot.waitUntil(lambda: titles(desk) == ["pears", "apples"])
    assert desk.window.sidebar.list.item(1).text() == "pears"
    assert not desk.window.banners.isVisible()
    desk.close()


class Gate:
    """Lets one thread's work stand still until it is opened."""

    def __init__(self, records: Records) -> None:
        self._open = threading.Event()
        records._thread.do(lambda _db: self._open.wait(10))

    def open(self) -> None:
        self._open.set()


def test_a_chat_opens_empty_and_fills_when_the_disk_has_answered(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    chat = write_chat(desk.records, "apples")
    gate = Gate(desk.records)

    desk.chats.open(chat)
    QApplication.processEvents()
    assert desk.chats.current.state is State.OPENING
    assert desk.window.chat.transcript.isVisible()
    assert desk.window.chat.transcript.rows == {}
    assert not desk.window.chat.empty.isVisible()

    gate.open()
    qtbot.waitUntil(lambda: len(desk.window.chat.transcript.rows) == 2)
    assert desk.window.chat.composer.button.accessibleName() == "Send"


def test_a_chat_that_was_left_before_it_came_does_not_come_back(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    chat = write_chat(desk.records, "apples")
    gate = Gate(desk.records)

    desk.chats.open(chat)
    desk.chats.new()
    desk.chats.search("")
    gate.open()
    qtbot.waitUntil(lambda: titles(desk) == ["apples"])

    assert desk.window.chat.empty.isVisible()
    assert desk.chats.current.turns == ()


def test_letters_typed_while_the_disk_is_slow_end_in_the_last_search(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    for title in ("apples", "pears", "pea soup"):
        write_chat(desk.records, title)
    desk.chats.search("")
    qtbot.waitUntil(lambda: len(desk.chats.entries) == 3)
    told: list[list[str]] = []
    desk.chats.entries_changed.connect(lambda: told.append(titles(desk)))
    gate = Gate(desk.records)

    for typed in ("p", "pe", "pea", "pear"):
        desk.window.sidebar.search.setText(typed)
    assert len(desk.chats.entries) == 3
    gate.open()
    qtbot.waitUntil(lambda: titles(desk) == ["pears"])

    assert told == [["pears"]]  # nothing in between was shown


def test_a_search_that_was_underway_does_not_overtake_the_newest(
    desk_of, qtbot, monkeypatch
) -> None:
    desk = desk_of(ScriptedBackend())
    write_chat(desk.records, "apples")
    write_chat(desk.records, "pears")
    apples, pears = (desk.records.entries(title).result() for title in ("apples", "pears"))
    asked: list[Future[list[ChatEntry]]] = []

    def entries(_search: str) -> Future[list[ChatEntry]]:
        asked.append(Future())
        asked[-1].set_running_or_notify_cancel()  # too late to cancel it
        return asked[-1]

    monkeypatch.setattr(desk.records, "entries", entries)
    desk.chats.search("apples")
    desk.chats.search("pears")
    asked[1].set_result(pears)
    qtbot.waitUntil(lambda: desk.chats.entries == pears)

    asked[0].set_result(apples)
    qtbot.waitUntil(lambda: not background._underway)

    assert desk.chats.entries == pears


def test_a_store_that_hangs_stops_neither_the_window_nor_its_look_at_memory(
    desk_of, qtbot, monkeypatch
) -> None:
    """As a network disk may, in which the models lie."""
    desk = desk_of(ScriptedBackend("Hello."))
    desk.window.show_page("models")
    let_go, looked = threading.Event(), threading.Event()
    listed = desk.store.list

    def hang() -> list[Model]:
        looked.set()
        let_go.wait(10)
        return listed()

    monkeypatch.setattr(desk.store, "list", hang)
    desk.library.refresh()
    qtbot.waitUntil(looked.is_set)

    desk.chats.current.send("Hi")
    qtbot.waitUntil(lambda: any(row.resident for row in desk.library.rows))
    assert len(desk.library.rows) > 1
    let_go.set()


def test_a_model_that_is_long_looked_for_leaves_the_window_free(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    let_go, looked = threading.Event(), threading.Event()
    find = desk.residency._find

    def hang(name: str) -> Model:
        looked.set()
        let_go.wait(10)
        return find(name)

    desk.residency._find = hang
    session = desk.chats.current
    session.send("Hi")
    qtbot.waitUntil(looked.is_set)
    assert session.state is State.LOADING
    let_go.set()

    qtbot.waitUntil(lambda: not session.busy)
    assert session.turns[-1].text == "Hello."


def test_a_reply_that_is_stopped_before_its_model_is_found_is_stopped(desk_of, qtbot) -> None:
    backend = ScriptedBackend()  # never ends by itself
    desk = desk_of(backend)
    let_go, looked = threading.Event(), threading.Event()
    find = desk.residency._find

    def hang(name: str) -> Model:
        looked.set()
        let_go.wait(10)
        return find(name)

    desk.residency._find = hang
    session = desk.chats.current
    session.send("Hi")
    qtbot.waitUntil(looked.is_set)
    session.stop()
    let_go.set()

    qtbot.waitUntil(lambda: not session.busy)
    assert not backend.running
