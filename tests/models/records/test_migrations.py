import sqlite3
from pathlib import Path

from models.records.records import Records
from models.records.values import Outcome, user_turn
from tests.models.records.old_chats import CHATS, TURNS, write_old_chats


def as_written(chat: str) -> list[tuple[object, ...]]:
    return [row[2:] for row in TURNS if row[0] == chat]


def read(records: Records, chat: str) -> list[tuple[object, ...]]:
    return [
        (
            turn.role,
            turn.text,
            turn.outcome.value,
            turn.model,
            turn.error,
            turn.completion_tokens,
            turn.decode_seconds,
        )
        for turn in records.turns(chat).result()
    ]


def test_chats_of_the_first_program_are_there_to_the_last_letter(inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)

    records = Records(inglenook_home)
    entries = records.entries().result()
    chats = {chat: read(records, chat) for chat in ("france", "story", "empty")}
    problem = records.problem().result()
    records.close()

    assert problem == ""
    assert [(each.id, each.title, each.updated_at.timestamp()) for each in entries] == [
        (id_, title, updated) for id_, title, _created, updated, _deleted in reversed(CHATS)
    ]
    assert chats == {chat: as_written(chat) for chat in chats}


def test_an_old_chat_goes_on_where_it_ended(inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)
    records = Records(inglenook_home)
    last = records.turns("france").result()[-1]

    records.put("france", last.id, user_turn("And of Spain?"))
    records.close()

    again = Records(inglenook_home)
    texts = [turn.text for turn in again.turns("france").result()]
    first = again.entries().result()[0].id
    again.close()
    assert texts == [*(row[1] for row in as_written("france")), "And of Spain?"]
    assert first == "france"


def test_a_change_is_made_once(inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)
    for _ in range(3):
        records = Records(inglenook_home)
        assert len(records.turns("france").result()) == 6
        records.close()

    db = sqlite3.connect(inglenook_home / "chats.db")
    names = [name for (name,) in db.execute("SELECT name FROM migrations ORDER BY made_at")]
    db.close()
    assert names == ["chats", "messages_in_a_tree", "responses", "dropped_messages", "thoughts"]


def test_a_migration_that_fails_leaves_the_old_chats_as_they_were(inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)
    path = inglenook_home / "chats.db"
    db = sqlite3.connect(path)
    # Not a table of ours: the migration fails on it half-way.
    db.execute("CREATE TABLE parts (in_the_way TEXT)")
    db.close()

    records = Records(inglenook_home)
    problem = records.problem().result()
    records.close()

    assert "cannot be opened" in problem
    db = sqlite3.connect(path)
    assert db.execute("SELECT * FROM turns ORDER BY chat, position").fetchall() == TURNS
    assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchall()
    db.execute("DROP TABLE parts")
    db.close()
    mended = Records(inglenook_home)
    assert read(mended, "france") == as_written("france")
    mended.close()


def test_the_first_program_sees_that_the_file_is_newer_than_itself(inglenook_home: Path) -> None:
    records = Records(inglenook_home)
    records.add("c", "New").result()
    records.close()

    db = sqlite3.connect(inglenook_home / "chats.db")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    assert version > 1  # it leaves the file alone then


def test_a_file_of_a_newer_program_is_told_and_not_a_byte_of_it_changes(
    inglenook_home: Path,
) -> None:
    records = Records(inglenook_home)
    records.add("c", "Kept").result()
    records.close()
    path = inglenook_home / "chats.db"
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO migrations VALUES ('messages_have_colours', 0)")
        db.execute("ALTER TABLE messages RENAME TO sayings")
    db.close()
    before = path.read_bytes()

    records = Records(inglenook_home)
    records.add("d", "Not kept")
    problem = records.problem().result()
    titles = [each.title for each in records.entries().result()]
    records.close()

    assert "newer Inglenook" in problem
    assert titles == ["Not kept"]  # it can be talked to all the same
    assert path.read_bytes() == before


def test_two_programs_that_open_an_old_file_at_once_both_read_it(inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)
    both = [Records(inglenook_home) for _ in range(2)]

    reads = [records.turns("story") for records in both]

    assert [read.result()[1].outcome for read in reads] == [Outcome.WRITING] * 2
    for records in both:
        records.close()
