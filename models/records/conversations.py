"""Conversations that programs keep here: named lists of items, kept until they are deleted."""

import json
import sqlite3
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from models.records.responses import Do, Json
from models.records.values import new_id

MOST_CONVERSATIONS = 1000  # the one that was used longest ago goes


@dataclass(frozen=True, slots=True)
class KeptConversation:
    id: str
    created_at: int  # seconds, as of the epoch
    metadata: Json


class Conversations:
    """All methods may be called from any thread, and answer at once with a Future."""

    def __init__(self, do: Do) -> None:
        self._do = do

    def begin(self, metadata: Json, items: Iterable[Json]) -> Future[KeptConversation]:
        said = list(items)

        def write(db: sqlite3.Connection) -> KeptConversation:
            now = time.time()
            made = KeptConversation(f"conv_{new_id()}", int(now), metadata)
            number = db.execute(
                "INSERT INTO conversations (id, created_at, used_at, metadata) VALUES (?, ?, ?, ?)",
                (made.id, made.created_at, now, json.dumps(metadata)),
            ).lastrowid
            _add(db, number, said)
            db.execute(
                "DELETE FROM conversations WHERE number IN (SELECT number FROM conversations"
                " ORDER BY used_at DESC, number DESC LIMIT -1 OFFSET ?)",
                (MOST_CONVERSATIONS,),
            )
            return made

        return self._do(write)

    def get(self, id: str) -> Future[KeptConversation | None]:
        def read(db: sqlite3.Connection) -> KeptConversation | None:
            row = db.execute(
                "SELECT created_at, metadata FROM conversations WHERE id = ?", (id,)
            ).fetchone()
            return KeptConversation(id, row[0], json.loads(row[1])) if row else None

        return self._do(read)

    def change(self, id: str, metadata: Json) -> Future[None]:
        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE conversations SET metadata = ?, used_at = ? WHERE id = ?",
                (json.dumps(metadata), time.time(), id),
            )

        return self._do(write)

    def delete(self, id: str) -> Future[bool]:
        """Delete it with its items. Return whether it was there."""
        return self._do(
            lambda db: db.execute("DELETE FROM conversations WHERE id = ?", (id,)).rowcount > 0
        )

    def add(self, id: str, items: Iterable[Json]) -> Future[None]:
        """Add to its end. Harmless where it is gone."""
        said = list(items)

        def write(db: sqlite3.Connection) -> None:
            row = db.execute("SELECT number FROM conversations WHERE id = ?", (id,)).fetchone()
            if row:
                _add(db, row[0], said)
                db.execute("UPDATE conversations SET used_at = ? WHERE id = ?", (time.time(), id))

        return self._do(write)

    def items(self, id: str) -> Future[list[Json] | None]:
        """Return its items, the oldest first; None: there is no such conversation."""

        def read(db: sqlite3.Connection) -> list[Json] | None:
            row = db.execute("SELECT number FROM conversations WHERE id = ?", (id,)).fetchone()
            if row is None:
                return None
            rows = db.execute(
                "SELECT body FROM conversation_items WHERE conversation = ? ORDER BY number", row
            )
            return [json.loads(body) for (body,) in rows]

        return self._do(read)

    def delete_item(self, id: str, item: str) -> Future[bool]:
        """Return whether it was there."""

        def write(db: sqlite3.Connection) -> bool:
            deleted = db.execute(
                "DELETE FROM conversation_items WHERE id = ? AND conversation ="
                " (SELECT number FROM conversations WHERE id = ?)",
                (item, id),
            )
            return deleted.rowcount > 0

        return self._do(write)


def _add(db: sqlite3.Connection, number: int | None, items: Iterable[Json]) -> None:
    db.executemany(
        "INSERT INTO conversation_items (conversation, id, body) VALUES (?, ?, ?)",
        [(number, each["id"], json.dumps(each)) for each in items],
    )
