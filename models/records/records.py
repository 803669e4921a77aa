"""Records: every chat, in one SQLite file that survives whatever happens to the program."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from models.chat import Part
from models.records import parts
from models.records.conversations import Conversations
from models.records.database import blobs_of, open_database
from models.records.responses import Responses
from models.records.thread import DatabaseThread
from models.records.values import ChatEntry, Outcome, Turn
from models.thinking import EFFORTS, Choice

_MESSAGE = (
    "id, role, model, outcome, error, completion_tokens, decode_seconds, dropped_messages,"
    " thought_seconds"
)

# The messages of a chat as it is shown: from its leaf up to the one that has no parent.
_PATH = """
    WITH RECURSIVE chosen (message, place) AS (
        SELECT leaf, 0 FROM chats WHERE id = ?
        UNION ALL
        SELECT parent, place - 1 FROM chosen JOIN messages ON id = message
    )
"""
_SIBLINGS = """
    WITH chosen (message, place) AS (
        SELECT other.id, other.number FROM messages AS one JOIN messages AS other
        ON other.chat IS one.chat AND other.parent IS one.parent
        WHERE one.id = ?
    )
"""


class Records:
    """All methods may be called from any thread.

    The database belongs to a thread of its own, which does one thing after another and
    opens the file with the first: each method returns at once, with a Future of what was
    read, or of when it is safe. A read comes after the writes before it.
    """

    def __init__(self, home: Path) -> None:
        self._blobs = blobs_of(home)
        self._thread = DatabaseThread(lambda: open_database(home, self._blobs))
        self._do = self._thread.do
        # What programs keep by the API lies in the same file.
        self.responses = Responses(self._do)
        self.conversations = Conversations(self._do)

    def problem(self) -> Future[str]:
        """One sentence on why older chats are missing; empty where all is well."""
        return self._thread.problem()

    # -- Chats ----------------------------------------------------------------

    def add(self, chat: str, title: str) -> Future[None]:
        """Begin a chat. Harmless where it has begun."""

        def insert(db: sqlite3.Connection) -> None:
            now = time.time()
            db.execute(
                "INSERT OR IGNORE INTO chats (id, title, created_at, updated_at)"
                " VALUES (?, ?, ?, ?)",
                (chat, title, now, now),
            )

        return self._do(insert)

    def rename(self, chat: str, title: str) -> Future[None]:
        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat))

        return self._do(update)

    def thinking(self, chat: str) -> Future[Choice | None]:
        """Whether, or how hard, models are to think in this chat; None: nothing was chosen."""

        def select(db: sqlite3.Connection) -> Choice | None:
            row = db.execute("SELECT thinking FROM chats WHERE id = ?", (chat,)).fetchone()
            chosen = json.loads(row[0]) if row and row[0] else None
            return chosen if chosen in (True, False, *EFFORTS) else None

        return self._do(select)

    def choose_thinking(self, chat: str, chosen: Choice) -> Future[None]:
        """Harmless where the chat has not begun."""

        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE chats SET thinking = ? WHERE id = ?", (json.dumps(chosen), chat))

        return self._do(update)

    def delete(self, chat: str) -> Future[None]:
        """Take a chat off the list. ``restore`` brings it back for a day."""
        return self._set_deleted(chat, time.time())

    def restore(self, chat: str) -> Future[None]:
        return self._set_deleted(chat, None)

    def entries(self, search: str = "") -> Future[list[ChatEntry]]:
        """The chats whose titles have every word of ``search``, newest first."""
        words = search.casefold().split()

        def select(db: sqlite3.Connection) -> list[ChatEntry]:
            rows = db.execute(
                "SELECT id, title, updated_at FROM chats WHERE deleted_at IS NULL"
                " ORDER BY updated_at DESC"
            )
            return [
                ChatEntry(chat, title, datetime.fromtimestamp(updated_at, UTC))
                for chat, title, updated_at in rows
                if all(word in title.casefold() for word in words)
            ]

        return self._do(select)

    # -- Messages -------------------------------------------------------------

    def put(self, chat: str, parent: str | None, turn: Turn) -> Future[Turn]:
        """Write a turn, anew where it is there: the chat ends with it now.

        Returns it as ``turns`` would: its pictures are files, and need not be held any more.

        ``parent`` is the turn that it follows; None: it begins the chat. What else follows
        the same one stays, as another branch.
        """

        def write(db: sqlite3.Connection) -> Turn:
            rows = parts.encode(turn.parts, self._blobs)
            said = (turn.id, turn.role, turn.model, turn.outcome.value, turn.error)
            row = (
                *said,
                turn.completion_tokens,
                turn.decode_seconds,
                turn.dropped_messages,
                turn.thought_seconds,
                chat,
                parent,
            )
            db.execute(
                f"INSERT INTO messages ({_MESSAGE}, chat, parent)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " outcome = excluded.outcome, error = excluded.error,"
                " completion_tokens = excluded.completion_tokens,"
                " decode_seconds = excluded.decode_seconds,"
                " dropped_messages = excluded.dropped_messages,"
                " thought_seconds = excluded.thought_seconds",
                row,
            )
            db.execute("DELETE FROM parts WHERE message = ?", (turn.id,))
            db.executemany(
                "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)", [(turn.id, *each) for each in rows]
            )
            changed = (turn.id, time.time(), chat)
            db.execute("UPDATE chats SET leaf = ?, updated_at = ? WHERE id = ?", changed)
            return replace(turn, parts=parts.decode(rows, self._blobs))

        return self._do(write)

    def turns(self, chat: str) -> Future[list[Turn]]:
        """A chat from its beginning, by its newest branch; empty where there is none."""
        return self._do(lambda db: self._read(db, _PATH, chat))

    def siblings(self, message: str) -> Future[list[Turn]]:
        """What follows the same turn as this one does, itself included, the oldest first."""
        return self._do(lambda db: self._read(db, _SIBLINGS, message))

    def close(self) -> None:
        """Wait for what is still to be written."""
        self._thread.close()

    # -- The chats' thread ----------------------------------------------------

    def _read(self, db: sqlite3.Connection, chosen: str, argument: str) -> list[Turn]:
        rows = db.execute(
            f"{chosen} SELECT parts.message, n, within, kind, body, blob"
            " FROM chosen JOIN parts ON parts.message = chosen.message ORDER BY place, n",
            (argument,),
        )
        said = {
            message: parts.decode((row[1:] for row in group), self._blobs)
            for message, group in groupby(rows, lambda row: row[0])
        }
        messages = db.execute(
            f"{chosen} SELECT {_MESSAGE} FROM chosen JOIN messages ON id = message ORDER BY place",
            (argument,),
        )
        return [_turn(said, message) for message in messages]

    def _set_deleted(self, chat: str, deleted_at: float | None) -> Future[None]:
        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE chats SET deleted_at = ? WHERE id = ?", (deleted_at, chat))

        return self._do(update)


def _turn(said: Mapping[str, tuple[Part, ...]], row: Sequence[Any]) -> Turn:
    id_, role, model, outcome, error, tokens, decode_seconds, dropped, thought_seconds = row
    return Turn(
        role=role,
        parts=said.get(id_, ()),
        outcome=_outcome(outcome),
        model=model,
        error=error,
        completion_tokens=tokens,
        decode_seconds=decode_seconds,
        dropped_messages=dropped,
        thought_seconds=thought_seconds,
        id=id_,
    )


def _outcome(kept: str) -> Outcome:
    try:
        return Outcome(kept)
    except ValueError:  # a newer program's word for an end
        return Outcome.DONE
