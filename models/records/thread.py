"""The thread that a database belongs to: it does one thing after another."""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from models.records.database import Opened

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class NotKept(OSError):
    """The file of the chats cannot be read or written now: ``str(error)`` is SQLite's word."""


class DatabaseThread:
    """Opens the database with the first work that it is given. Call it from any thread."""

    def __init__(self, open_database: Callable[[], Opened]) -> None:
        self._open_database = open_database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chats")
        self._opened: Opened | None = None  # the thread's own

    def problem(self) -> Future[str]:
        """Why older chats are missing."""
        return self._thread.submit(lambda: self._open().problem)

    def do(self, work: Callable[[sqlite3.Connection], _T]) -> Future[_T]:
        """Have work done in one transaction; the future raises NotKept where it cannot be."""
        return self._thread.submit(self._run, work)

    def close(self) -> None:
        """Wait for what is still to be done. Harmless twice."""
        with suppress(RuntimeError):  # it is closed
            self._thread.submit(self._close)
        self._thread.shutdown()

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        db = self._open().db
        try:
            with db:  # one transaction
                return work(db)
        except sqlite3.Error as error:
            log.error("The chats could not be read or written: %s", error)
            raise NotKept(f"{error}.") from error

    def _open(self) -> Opened:
        if self._opened is None:
            self._opened = self._open_database()
        return self._opened

    def _close(self) -> None:
        if self._opened:
            self._opened.db.close()
