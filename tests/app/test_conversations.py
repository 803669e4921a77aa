import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app.conversations import Conversations, Outcome, Turn, new_chat_id, title_of
from tests.conftest import REPOSITORY

QUESTION = Turn(role="user", text="What is the capital of France?")
ANSWER = Turn(
    role="assistant", text="Paris.", model="pocket", completion_tokens=3, decode_seconds=0.5
)

# Sends one message to a model that never stops, and waits to be killed.
WRITER = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer
from app.chat.chats import Chats
from app.conversations import Conversations
from tests.app.conftest import Babbler
from tests.fakes import scripted_residency

application = QCoreApplication([])
chats = Chats(
    scripted_residency(Babbler("Once", " upon")),
    Conversations(Path(sys.argv[1])),
    "scripted",
)
chats.current.reply_grew.connect(lambda text: print("grew", flush=True))
chats.current.send("Tell me a story")
application.exec()
"""


def test_a_chat_is_read_as_it_was_written(conversations: Conversations) -> None:
    conversations.add("c", "France")
    conversations.put("c", 0, QUESTION)
    conversations.put("c", 1, ANSWER)

    assert conversations.turns("c") == [QUESTION, ANSWER]
    assert [entry.title for entry in conversations.entries()] == ["France"]


def test_a_turn_written_anew_drops_what_followed(conversations: Conversations) -> None:
    conversations.add("c", "France")
    for position, turn in enumerate((QUESTION, ANSWER, QUESTION, ANSWER)):
        conversations.put("c", position, turn)
    again = Turn(role="assistant", text="Pa", outcome=Outcome.WRITING)

    conversations.put("c", 1, again)

    assert conversations.turns("c") == [QUESTION, again]


def test_the_chat_that_was_used_last_is_the_first(conversations: Conversations) -> None:
    for chat in ("a", "b"):
        conversations.add(chat, chat)
    conversations.put("a", 0, QUESTION)

    assert [entry.id for entry in conversations.entries()] == ["a", "b"]


def test_titles_are_found_by_words_in_any_case(conversations: Conversations) -> None:
    for title in ("Softmax and large inputs", "Ökologie", "100% sure"):
        conversations.add(new_chat_id(), title)

    def found(search: str) -> list[str]:
        return [entry.title for entry in conversations.entries(search)]

    assert found("INPUTS soft") == ["Softmax and large inputs"]
    assert found("öko") == ["Ökologie"]
    assert found("100%") == ["100% sure"]
    assert found("50%") == []


def test_a_deleted_chat_can_be_brought_back(conversations: Conversations) -> None:
    conversations.add("c", "France")
    conversations.put("c", 0, QUESTION)

    conversations.delete("c")
    assert conversations.entries() == []

    conversations.restore("c")
    assert conversations.turns("c") == [QUESTION]


def test_a_renamed_chat_keeps_its_turns(conversations: Conversations) -> None:
    conversations.add("c", "France")
    conversations.put("c", 0, QUESTION)

    conversations.rename("c", "Capitals")

    assert conversations.entries()[0].title == "Capitals"
    assert conversations.turns("c") == [QUESTION]


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("What is the capital of France?", "What is the capital of France?"),
        ("  two\n\nlines ", "two lines"),
        ("# **Bold** `code`", "Bold code"),
        ("word " * 30, ("word " * 11).strip() + "…"),
        ("x" * 100, "x" * 59 + "…"),
        ("   ", "New chat"),
    ],
)
def test_a_title_is_the_beginning_of_the_first_message(message: str, title: str) -> None:
    assert title_of(message) == title


def test_a_kill_in_mid_reply_loses_half_a_second_at_most(inglenook_home: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", WRITER, str(inglenook_home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        kept = ""
        while not kept:  # the reply is on the disk while it grows, in another process's view too
            with sqlite3.connect(inglenook_home / "chats.db") as db:
                found = db.execute("SELECT text FROM turns WHERE position = 1").fetchone()
            db.close()
            kept = found[0] if found else ""
        writer.send_signal(signal.SIGKILL)

    survivors = Conversations(inglenook_home)
    entries = survivors.entries()
    turns = survivors.turns(entries[0].id)
    survivors.close()

    assert [entry.title for entry in entries] == ["Tell me a story"]
    assert turns[0].text == "Tell me a story"
    assert turns[1].outcome is Outcome.WRITING
    assert turns[1].text.startswith("Once upon")


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(inglenook_home: Path) -> None:
    inglenook_home.mkdir()
    (inglenook_home / "chats.db").write_bytes(b"this is no database at all" * 100)

    conversations = Conversations(inglenook_home)
    conversations.add("c", "New")
    entries = conversations.entries()
    problem = conversations.problem
    conversations.close()

    aside = [path.name for path in inglenook_home.glob("chats.db.broken-*")]
    assert len(aside) == 1
    assert aside[0] in problem
    assert [entry.title for entry in entries] == ["New"]


def test_damage_deep_in_the_file_is_found_too(inglenook_home: Path) -> None:
    conversations = Conversations(inglenook_home)
    for number in range(200):
        conversations.add(str(number), "title " * 50)
    conversations.close()
    path = inglenook_home / "chats.db"
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)

    conversations = Conversations(inglenook_home)
    problem = conversations.problem
    conversations.close()

    assert "damaged" in problem
    assert next(inglenook_home.glob("chats.db.broken-*")).read_bytes() == bytes(content)


def test_chats_of_a_newer_version_are_left_alone(inglenook_home: Path) -> None:
    inglenook_home.mkdir()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    conversations = Conversations(inglenook_home)
    conversations.add("c", "Not kept")
    problem = conversations.problem
    entries = conversations.entries()
    conversations.close()

    assert "newer Inglenook" in problem
    assert [entry.title for entry in entries] == ["Not kept"]  # it can be talked to all the same
    assert not list(inglenook_home.glob("*.broken-*"))


def test_a_home_that_cannot_be_written_still_has_a_chat(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    conversations = Conversations(in_the_way / "home")
    conversations.add("c", "For now")
    problem = conversations.problem
    titles = [entry.title for entry in conversations.entries()]
    conversations.close()

    assert "will not be kept" in problem
    assert titles == ["For now"]
