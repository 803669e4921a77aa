"""Every chat, in one SQLite file that survives whatever happens to the program."""

import logging
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_FILE = "chats.db"
_VERSION = 1
_TITLE_LENGTH = 60
_DELETED_STAY_SECONDS = 24 * 60 * 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS chats (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL
);
CREATE TABLE IF NOT EXISTS turns (
    chat TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    outcome TEXT NOT NULL,
    model TEXT NOT NULL,
    error TEXT NOT NULL,
    completion_tokens INTEGER NOT NULL,
    decode_seconds REAL NOT NULL,
    PRIMARY KEY (chat, position)
) WITHOUT ROWID;
"""


class Outcome(StrEnum):
    """How a turn ended."""

    WRITING = "writing"  # it has not
    DONE = "done"
    CUT = "cut"  # the context or the token limit was reached
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # the program ended first


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One side's say."""

    role: Literal["user", "assistant"]
    text: str
    outcome: Outcome = Outcome.DONE
    model: str = ""  # that said it
    error: str = ""  # one sentence, where it failed
    completion_tokens: int = 0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ChatEntry:
    id: str
    title: str
    updated_at: datetime  # aware, UTC


class NewerChats(Exception):
    """A newer version of the program has written the file."""


class Conversations:
    """All methods may be called from any thread.

    The database belongs to a thread of its own, which does one thing after another: a
    write returns at once, with a Future for those who care when it is safe, and a read
    waits for the writes before it.
    """

    def __init__(self, home: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chats")
        self._opened: Future[tuple[sqlite3.Connection, str]] = self._thread.submit(_open, home)

    @property
    def problem(self) -> str:
        """One sentence on why older chats are missing; empty where all is well."""
        return self._opened.result()[1]

    def add(self, chat: str, title: str) -> Future[None]:
        """Begin a chat. Harmless where it has begun."""

        def insert(db: sqlite3.Connection) -> None:
            now = time.time()
            row = (chat, title, now, now)
            db.execute("INSERT OR IGNORE INTO chats VALUES (?, ?, ?, ?, NULL)", row)

        return self._do(insert)

    def put(self, chat: str, position: int, turn: Turn) -> Future[None]:
        """Write a turn, over the one that is there; what came after it is dropped."""

        def upsert(db: sqlite3.Connection) -> None:
            said = (turn.role, turn.text, turn.outcome.value, turn.model, turn.error)
            row = (chat, position, *said, turn.completion_tokens, turn.decode_seconds)
            db.execute("DELETE FROM turns WHERE chat = ? AND position >= ?", (chat, position))
            db.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("UPDATE chats SET updated_at = ? WHERE id = ?", (time.time(), chat))

        return self._do(upsert)

    def rename(self, chat: str, title: str) -> Future[None]:
        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat))

        return self._do(update)

    def delete(self, chat: str) -> Future[None]:
        """Take a chat off the list. ``restore`` brings it back for a day."""
        return self._set_deleted(chat, time.time())

    def restore(self, chat: str) -> Future[None]:
        return self._set_deleted(chat, None)

    def entries(self, search: str = "") -> list[ChatEntry]:
        """Return the chats whose titles have every word of ``search``, newest first."""

        def select(db: sqlite3.Connection) -> list[tuple[str, str, float]]:
            return db.execute(
                "SELECT id, title, updated_at FROM chats WHERE deleted_at IS NULL"
                " ORDER BY updated_at DESC"
            ).fetchall()

        words = search.casefold().split()
        return [
            ChatEntry(chat, title, datetime.fromtimestamp(updated_at, UTC))
            for chat, title, updated_at in self._do(select).result()
            if all(word in title.casefold() for word in words)
        ]

    def turns(self, chat: str) -> list[Turn]:
        """Return a chat from its beginning; empty where there is no such chat."""

        def select(db: sqlite3.Connection) -> list[Turn]:
            rows = db.execute(
                "SELECT role, text, outcome, model, error, completion_tokens, decode_seconds"
                " FROM turns WHERE chat = ? ORDER BY position",
                (chat,),
            )
            return [_turn(*row) for row in rows]

        return self._do(select).result()

    def close(self) -> None:
        """Wait for what is still to be written."""

        self._thread.submit(self._close)
        self._thread.shutdown()

    def _set_deleted(self, chat: str, deleted_at: float | None) -> Future[None]:
        def update(db: sqlite3.Connection) -> None:
            db.execute("UPDATE chats SET deleted_at = ? WHERE id = ?", (deleted_at, chat))

        return self._do(update)

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> "Future[_T]":
        return self._thread.submit(self._run, work)

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        db, _problem = self._opened.result()
        try:
            with db:  # one transaction
                return work(db)
        except sqlite3.Error as error:
            log.error("The chats could not be read or written: %s", error)
            raise

    def _close(self) -> None:
        db, _problem = self._opened.result()
        db.close()


def new_chat_id() -> str:
    """Never the same twice, also between two windows on the same file."""
    return uuid.uuid4().hex


def title_of(message: str) -> str:
    """Name a chat by the beginning of its first message."""
    words = " ".join(re.sub(r"\*\*|`|^#+", "", message).split())
    if len(words) <= _TITLE_LENGTH:
        return words or "New chat"
    cut = words[: _TITLE_LENGTH - 1]
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) > _TITLE_LENGTH // 2 else cut) + "…"


def _turn(
    role: Literal["user", "assistant"],
    text: str,
    outcome: str,
    model: str,
    error: str,
    completion_tokens: int,
    decode_seconds: float,
) -> Turn:
    return Turn(
        role=role,
        text=text,
        outcome=Outcome(outcome),
        model=model,
        error=error,
        completion_tokens=completion_tokens,
        decode_seconds=decode_seconds,
    )


# -- Opening ------------------------------------------------------------------


def _open(home: Path) -> tuple[sqlite3.Connection, str]:
    """Open the file, or whatever will do in its place; and say so in one sentence."""
    path = home / _FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        return _open_or_replace(path)
    except NewerChats:
        problem = (
            "Your chats were written by a newer Inglenook, so they are not shown, "
            "and what you write now will not be kept."
        )
    except (sqlite3.Error, OSError) as error:
        log.error("%s could not be opened: %s", path, error)
        problem = f"Your chats cannot be opened, and new ones will not be kept: {error}."
    return _connect(Path(":memory:")), problem


def _open_or_replace(path: Path) -> tuple[sqlite3.Connection, str]:
    try:
        return _connect(path), ""
    except sqlite3.OperationalError:
        raise  # "locked", "readonly", "full": the file may be in good health
    except sqlite3.DatabaseError as error:
        log.error("%s is damaged: %s", path, error)
        aside = _set_aside(path)
        problem = (
            f"The file of your chats was damaged. It is kept as {aside.name} "
            f"in {aside.parent}, and a new one has been begun."
        )
        return _connect(path), problem


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level="IMMEDIATE")
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise NewerChats
    # A reader never waits for the writer, and a killed program leaves a sound file.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    fault: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise sqlite3.DatabaseError(fault)
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    with db:
        long_ago = time.time() - _DELETED_STAY_SECONDS
        db.execute("DELETE FROM chats WHERE deleted_at < ?", (long_ago,))


def _set_aside(path: Path) -> Path:
    """Rename the file, with what SQLite keeps beside it; nothing is deleted."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.replace(part, aside.with_name(aside.name + suffix))
    return aside
