"""The shape of the database: a list of small named changes, each made once.

Which have been made is kept in the table ``migrations``. A change that has been released
is never edited: what must become otherwise is a new one at the end.
"""

import sqlite3
import time
from collections.abc import Callable

from models.records.values import new_id

# The first program looked at SQLite's user_version alone, and leaves a file alone in which
# it is more than 1.
_USER_VERSION = 2


class NewerRecords(Exception):
    """A newer version of the program has written the file."""


def migrate(db: sqlite3.Connection) -> None:
    """Bring a database to today's shape, all at once or not at all.

    Raises:
        sqlite3.Error
    """
    if _made(db) == set(_NAMES):
        return
    db.execute("BEGIN IMMEDIATE")
    with db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, made_at REAL NOT NULL)"
        )
        made = _made(db)  # another process may have been quicker
        for name, change in _MIGRATIONS:
            if name not in made:
                change(db)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))


def refuse_newer(db: sqlite3.Connection) -> None:
    """Read only, whatever comes of it.

    Raises:
        NewerRecords: the database knows changes that this program does not.
        sqlite3.Error
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _USER_VERSION or _made(db) - set(_NAMES):
        raise NewerRecords


def _made(db: sqlite3.Connection) -> set[str]:
    if not _has_table(db, "migrations"):
        return set()
    return {name for (name,) in db.execute("SELECT name FROM migrations")}


def _has_table(db: sqlite3.Connection, name: str) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return found.fetchone() is not None


# -- The changes, oldest first ------------------------------------------------


def _chats(db: sqlite3.Connection) -> None:
    """Files of the first program have this table already."""
    db.execute(
        """
        CREATE TABLE IF NOT EXISTS chats (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            deleted_at REAL
        )
        """
    )


def _messages_in_a_tree(db: sqlite3.Connection) -> None:
    """``leaf`` is the message that a chat ends with as it is shown: the path from there to a
    message without a parent is the chat, and all else in it are other branches.

    A parent takes no children with it: SQLite follows no more than 1,000 of them in a row, and
    the chat takes them all.
    """
    for statement in (
        """
        CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            chat TEXT REFERENCES chats (id) ON DELETE CASCADE,
            parent TEXT REFERENCES messages (id),
            role TEXT NOT NULL,
            model TEXT NOT NULL,
            outcome TEXT NOT NULL,
            error TEXT NOT NULL,
            completion_tokens INTEGER NOT NULL,
            decode_seconds REAL NOT NULL
        )
        """,
        "CREATE INDEX messages_by_chat ON messages (chat)",
        "CREATE INDEX messages_by_parent ON messages (parent)",
        """
        CREATE TABLE parts (
            message TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            n INTEGER NOT NULL,
            within INTEGER,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            blob TEXT,
            PRIMARY KEY (message, n)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX parts_by_blob ON parts (blob) WHERE blob IS NOT NULL",
        "ALTER TABLE chats ADD COLUMN leaf TEXT",
    ):
        db.execute(statement)
    if _has_table(db, "turns"):
        _carry_turns_over(db)
        db.execute("DROP TABLE turns")
    db.execute(f"PRAGMA user_version = {_USER_VERSION}")


def _carry_turns_over(db: sqlite3.Connection) -> None:
    rows = db.execute(
        "SELECT chat, role, text, outcome, model, error, completion_tokens, decode_seconds"
        " FROM turns ORDER BY chat, position"
    ).fetchall()
    leaves: dict[str, str] = {}
    for chat, role, text, outcome, model, error, tokens, seconds in rows:
        message = new_id()
        db.execute(
            "INSERT INTO messages (id, chat, parent, role, model, outcome, error,"
            " completion_tokens, decode_seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (message, chat, leaves.get(chat), role, model, outcome, error, tokens, seconds),
        )
        if text:
            db.execute("INSERT INTO parts VALUES (?, 0, NULL, 'text', ?, NULL)", (message, text))
        leaves[chat] = message
    for chat, leaf in leaves.items():
        db.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))


def _responses(db: sqlite3.Connection) -> None:
    """``runner`` is the number of the process in which a response still runs."""
    for statement in (
        """
        CREATE TABLE responses (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            used_at REAL NOT NULL,
            previous TEXT,
            runner INTEGER,
            body TEXT NOT NULL,
            events BLOB NOT NULL,
            bytes INTEGER NOT NULL
        )
        """,
        "CREATE INDEX responses_by_use ON responses (used_at)",
        """
        CREATE TABLE response_items (
            number INTEGER PRIMARY KEY,
            response INTEGER NOT NULL REFERENCES responses (number) ON DELETE CASCADE,
            is_output INTEGER NOT NULL,
            id TEXT NOT NULL,
            body TEXT NOT NULL
        )
        """,
        "CREATE INDEX response_items_by_response ON response_items (response)",
        "CREATE INDEX response_items_by_id ON response_items (id)",
        """
        CREATE TABLE conversations (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            created_at INTEGER NOT NULL,
            used_at REAL NOT NULL,
            metadata TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE conversation_items (
            number INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
            id TEXT NOT NULL,
            body TEXT NOT NULL
        )
        """,
        "CREATE INDEX conversation_items_by_conversation ON conversation_items (conversation)",
        "CREATE INDEX conversation_items_by_id ON conversation_items (id)",
    ):
        db.execute(statement)


def _dropped_messages(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE messages ADD COLUMN dropped_messages INTEGER NOT NULL DEFAULT 0")


def _thoughts(db: sqlite3.Connection) -> None:
    """``thinking`` is JSON: what was chosen for the chat. NULL: nothing was."""
    db.execute("ALTER TABLE messages ADD COLUMN thought_seconds REAL NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE chats ADD COLUMN thinking TEXT")


_MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (
    ("chats", _chats),
    ("messages_in_a_tree", _messages_in_a_tree),
    ("responses", _responses),
    ("dropped_messages", _dropped_messages),
    ("thoughts", _thoughts),
)
_NAMES = [name for name, _change in _MIGRATIONS]
