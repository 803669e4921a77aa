import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.chat import Image, KeptFile, Reasoning, Text, ToolCall
from models.records.records import Records
from models.records.values import Outcome, Turn, new_id, title_of, user_turn
from tests.conftest import REPOSITORY

QUESTION = user_turn("What is the capital of France?")
ANSWER = Turn(
    role="assistant",
    parts=(Text("Paris."),),
    model="pocket",
    completion_tokens=3,
    decode_seconds=0.5,
)

REPLY = "SELECT body FROM parts JOIN messages ON id = message WHERE role = 'assistant'"

# Sends one message to a model that never stops, and waits to be killed.
WRITER = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication, QTimer
from app.chat.chats import Chats
from models.records.records import Records
from tests.app.conftest import Babbler
from tests.fakes import scripted_residency

application = QCoreApplication([])
chats = Chats(
    scripted_residency(Babbler("Once", " upon")),
    Records(Path(sys.argv[1])),
    "scripted",
)
chats.current.reply_grew.connect(lambda text: print("grew", flush=True))
chats.current.send("Tell me a story")
application.exec()
"""


def test_a_chat_is_read_as_it_was_written(records: Records) -> None:
    records.add("c", "France")
    records.put("c", None, QUESTION)
    records.put("c", QUESTION.id, ANSWER)

    assert records.turns("c").result() == [QUESTION, ANSWER]
    assert [entry.title for entry in records.entries().result()] == ["France"]


def test_a_turn_written_anew_is_still_one(records: Records) -> None:
    records.add("c", "France")
    records.put("c", None, QUESTION)
    growing = Turn(role="assistant", parts=(Text("Pa"),), outcome=Outcome.WRITING)
    records.put("c", QUESTION.id, growing)
    grown = replace(growing, parts=(Reasoning("Easy."), Text("Paris.")), outcome=Outcome.DONE)
    grown = replace(grown, dropped_messages=4, thought_seconds=12.5)

    records.put("c", QUESTION.id, grown)

    assert records.turns("c").result() == [QUESTION, grown]


def test_another_answer_leaves_the_first_one_beside_it(records: Records) -> None:
    records.add("c", "France")
    another = Turn(role="assistant", parts=(Text("It is Paris."),))
    records.put("c", None, QUESTION)
    records.put("c", QUESTION.id, ANSWER)
    records.put("c", ANSWER.id, user_turn("Thanks"))

    records.put("c", QUESTION.id, another)

    assert records.turns("c").result() == [QUESTION, another]
    assert records.siblings(another.id).result() == [ANSWER, another]
    assert records.siblings(QUESTION.id).result() == [QUESTION]


def test_another_first_message_is_a_sibling_too_and_no_other_chats(records: Records) -> None:
    again = user_turn("What is the capital of Italy?")
    for chat, first in (("c", QUESTION), ("d", user_turn("Hello")), ("c", again)):
        records.add(chat, chat)
        records.put(chat, None, first)

    assert records.siblings(QUESTION.id).result() == [QUESTION, again]


def test_everything_that_a_model_does_is_kept_in_its_order(records: Records) -> None:
    turn = Turn(
        role="assistant",
        parts=(
            Reasoning("Look it up."),
            Text("A moment"),
            ToolCall("1", "look_up", "{}"),
            Image(b"a picture"),
        ),
    )
    records.add("c", "Tools")
    kept = records.put("c", None, turn).result()

    assert records.turns("c").result() == [kept]
    picture = kept.parts[-1]
    assert isinstance(picture, Image) and isinstance(picture.source, KeptFile)
    read = (*kept.parts[:-1], Image(picture.source.read()))
    assert replace(kept, parts=read) == turn


def test_a_part_of_a_kind_that_only_a_newer_program_knows_is_never_lost(
    inglenook_home: Path,
) -> None:
    records = Records(inglenook_home)
    records.add("c", "France")
    records.put("c", None, QUESTION)
    records.put("c", QUESTION.id, ANSWER).result()
    records.close()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        row = (ANSWER.id, 7, None, "hologram", "{}", None)
        db.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", row)
        db.execute("UPDATE messages SET outcome = 'applauded' WHERE id = ?", (ANSWER.id,))
    db.close()

    records = Records(inglenook_home)
    turns = records.turns("c").result()
    records.put("c", ANSWER.id, user_turn("Thanks"))
    records.close()

    assert turns == [QUESTION, ANSWER]
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        kept = db.execute("SELECT body FROM parts WHERE kind = 'hologram'").fetchall()
        outcome = db.execute("SELECT outcome FROM messages WHERE id = ?", (ANSWER.id,)).fetchone()
    db.close()
    assert kept == [("{}",)]
    assert outcome == ("applauded",)


def test_what_was_deleted_goes_a_day_later_with_its_messages_and_files(
    inglenook_home: Path,
) -> None:
    records = Records(inglenook_home)
    for chat, picture in (("old", b"old"), ("kept", b"kept")):
        records.add(chat, chat)
        records.put(chat, None, Turn(role="user", parts=(Image(picture),)))
        records.delete(chat)
    records.close()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        db.execute("UPDATE chats SET deleted_at = deleted_at - 100000 WHERE id = 'old'")
    db.close()
    for path in (inglenook_home / "blobs").iterdir():
        os.utime(path, (0, 0))

    records = Records(inglenook_home)
    records.restore("old")
    records.restore("kept")
    entries = records.entries().result()
    records.close()

    assert [entry.id for entry in entries] == ["kept"]
    assert [path.read_bytes() for path in (inglenook_home / "blobs").iterdir()] == [b"kept"]
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM parts").fetchone() == (1,)
    db.close()


def test_the_chat_that_was_used_last_is_the_first(records: Records) -> None:
    for chat in ("a", "b"):
        records.add(chat, chat)
    records.put("a", None, QUESTION)

    assert [entry.id for entry in records.entries().result()] == ["a", "b"]


def test_titles_are_found_by_words_in_any_case(records: Records) -> None:
    for title in ("Softmax and large inputs", "Ökologie", "100% sure"):
        records.add(new_id(), title)

    def found(search: str) -> list[str]:
        return [entry.title for entry in records.entries(search).result()]

    assert found("INPUTS soft") == ["Softmax and large inputs"]
    assert found("öko") == ["Ökologie"]
    assert found("100%") == ["100% sure"]
    assert found("50%") == []


def test_a_deleted_chat_can_be_brought_back(records: Records) -> None:
    records.add("c", "France")
    records.put("c", None, QUESTION)

    records.delete("c")
    assert records.entries().result() == []

    records.restore("c")
    assert records.turns("c").result() == [QUESTION]


def test_a_renamed_chat_keeps_its_turns(records: Records) -> None:
    records.add("c", "France")
    records.put("c", None, QUESTION)

    records.rename("c", "Capitals")

    assert records.entries().result()[0].title == "Capitals"
    assert records.turns("c").result() == [QUESTION]


def test_what_was_chosen_of_thinking_is_kept_with_the_chat(records: Records) -> None:
    for chat in ("c", "d"):
        records.add(chat, chat)
        assert records.thinking(chat).result() is None

    for chosen in (False, "high", True):
        records.choose_thinking("c", chosen)
        assert records.thinking("c").result() == chosen
    records.choose_thinking("nowhere", True).result()
    assert records.thinking("d").result() is None
    assert records.thinking("nowhere").result() is None


def test_a_chat_of_thousands_of_messages_goes_as_a_whole(inglenook_home: Path) -> None:
    records = Records(inglenook_home)
    records.add("c", "Long")
    parent = None
    for number in range(3000):
        turn = user_turn(str(number))
        records.put("c", parent, turn)
        parent = turn.id
    assert len(records.turns("c").result()) == 3000
    records.delete("c")
    records.close()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        db.execute("UPDATE chats SET deleted_at = 1")
    db.close()

    records = Records(inglenook_home)
    assert records.problem().result() == ""
    records.close()

    with sqlite3.connect(inglenook_home / "chats.db") as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    db.close()


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
    assert title_of(user_turn(message)) == title


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
                found = db.execute(REPLY).fetchone()
            db.close()
            kept = found[0] if found else ""
        writer.send_signal(signal.SIGKILL)

    survivors = Records(inglenook_home)
    entries = survivors.entries().result()
    turns = survivors.turns(entries[0].id).result()
    survivors.close()

    assert [entry.title for entry in entries] == ["Tell me a story"]
    assert turns[0].text == "Tell me a story"
    assert turns[1].outcome is Outcome.WRITING
    assert turns[1].text.startswith("Once upon")


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(inglenook_home: Path) -> None:
    inglenook_home.mkdir()
    (inglenook_home / "chats.db").write_bytes(b"this is no database at all" * 100)

    records = Records(inglenook_home)
    records.add("c", "New")
    entries = records.entries().result()
    problem = records.problem().result()
    records.close()

    aside = [path.name for path in inglenook_home.glob("chats.db.broken-*")]
    assert len(aside) == 1
    assert aside[0] in problem
    assert [entry.title for entry in entries] == ["New"]


def test_damage_deep_in_the_file_is_found_too(inglenook_home: Path) -> None:
    records = Records(inglenook_home)
    for number in range(200):
        records.add(str(number), "title " * 50)
    records.close()
    path = inglenook_home / "chats.db"
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)

    records = Records(inglenook_home)
    problem = records.problem().result()
    records.close()

    assert "damaged" in problem
    (aside,) = inglenook_home.glob("chats.db.broken-*")
    assert aside.read_bytes() == bytes(content)


def test_chats_of_a_newer_version_are_left_alone(inglenook_home: Path) -> None:
    inglenook_home.mkdir()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    records = Records(inglenook_home)
    records.add("c", "Not kept")
    problem = records.problem().result()
    entries = records.entries().result()
    records.close()

    assert "newer Inglenook" in problem
    assert [entry.title for entry in entries] == ["Not kept"]  # it can be talked to all the same
    assert not list(inglenook_home.glob("*.broken-*"))


def test_a_home_that_cannot_be_written_still_has_a_chat(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    records = Records(in_the_way / "home")
    records.add("c", "For now")
    problem = records.problem().result()
    titles = [entry.title for entry in records.entries().result()]
    records.close()

    assert "will not be kept" in problem
    assert titles == ["For now"]
