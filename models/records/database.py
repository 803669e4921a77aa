"""The database file: opened, or whatever will do in its place."""

import logging
import os
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.records.blobs import Blobs
from models.records.migrations import NewerRecords, migrate, refuse_newer
from models.records.responses import fail_orphans

log = logging.getLogger(__name__)

_FILE = "chats.db"
_BLOBS = "blobs"
_DELETED_STAY_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Opened:
    db: sqlite3.Connection
    problem: str = ""  # one sentence on why older chats are missing


def open_database(home: Path, blobs: Blobs) -> Opened:
    """Open ``chats.db`` under ``home``.

    A damaged file is set aside and a new one begun. Where a newer program has written it, or
    it cannot be opened, nothing is touched, and what is written now is kept in memory alone.
    """
    path = home / _FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        opened = _open_or_replace(path)
    except NewerRecords:
        problem = (
            "Your chats were written by a newer Inglenook, so they are not shown, "
            "and what you write now will not be kept."
        )
    except (sqlite3.Error, OSError) as error:
        log.error("%s could not be opened: %s", path, error)
        problem = f"Your chats cannot be opened, and new ones will not be kept: {error}."
    else:
        _forget_deleted(opened.db, blobs)
        _fail_orphans(opened.db)
        return opened
    return open_in_memory(problem)


def open_in_memory(problem: str = "") -> Opened:
    """Open a database that ends with the program."""
    return Opened(_connect(Path(":memory:")), problem)


def blobs_of(home: Path) -> Blobs:
    return Blobs(home / _BLOBS)


def _open_or_replace(path: Path) -> Opened:
    try:
        return Opened(_connect(path))
    except sqlite3.OperationalError:
        raise  # "locked", "readonly", "full": the file may be in good health
    except sqlite3.DatabaseError as error:
        log.error("%s is damaged: %s", path, error)
        aside = _set_aside(path)
        problem = (
            f"The file of your chats was damaged. It is kept as {aside.name} "
            f"in {aside.parent}, and a new one has been begun."
        )
        return Opened(_connect(path), problem)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level="IMMEDIATE")
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    refuse_newer(db)
    # A reader never waits for the writer, and a killed program leaves a sound file.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    fault: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise sqlite3.DatabaseError(fault)
    migrate(db)


def _forget_deleted(db: sqlite3.Connection, blobs: Blobs) -> None:
    try:
        with db:
            long_ago = time.time() - _DELETED_STAY_SECONDS
            db.execute("DELETE FROM chats WHERE deleted_at < ?", (long_ago,))
        wanted = db.execute("SELECT DISTINCT blob FROM parts WHERE blob IS NOT NULL")
        blobs.sweep({digest for (digest,) in wanted})
    except sqlite3.Error as error:  # the next start will
        log.warning("What was deleted long ago could not be cleared away: %s", error)


def _fail_orphans(db: sqlite3.Connection) -> None:
    try:
        with db:
            fail_orphans(db)
    except sqlite3.Error as error:  # the next start will
        log.warning("What was left running could not be marked as failed: %s", error)


def _set_aside(path: Path) -> Path:
    """Rename the file, with what SQLite keeps beside it; nothing is deleted."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.replace(part, aside.with_name(aside.name + suffix))
    return aside
