"""Responses that programs may come back to: each with what it was asked, item by item.

The items are JSON in the words of the API that they came by. How long they are kept is
written in docs/decisions/responses.md.
"""

import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

log = logging.getLogger(__name__)

_T = TypeVar("_T")
Json: TypeAlias = dict[str, Any]

MOST_DAYS = 30  # since it was used last
MOST_RESPONSES = 1000
MOST_BYTES = 256 << 20

_CHAIN = """
    WITH RECURSIVE chain (number, previous, depth) AS (
        SELECT number, previous, 0 FROM responses WHERE id = ?
        UNION ALL
        SELECT responses.number, responses.previous, depth + 1
        FROM chain JOIN responses ON responses.id = chain.previous
    )
"""
_TOO_MANY = """
    DELETE FROM responses WHERE number IN (
        SELECT number FROM (
            SELECT number, row_number() OVER newest AS place, sum(bytes) OVER newest AS held
            FROM responses WHERE runner IS NULL
            WINDOW newest AS (ORDER BY used_at DESC, number DESC)
        ) WHERE place > ? OR held > ?
    )
"""


class Do(Protocol):
    """Has work done on the thread of the records, in one transaction."""

    def __call__(self, work: Callable[[sqlite3.Connection], _T]) -> Future[_T]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResponse:
    """``body`` is the response with its ``id``, its ``status`` and the items of its ``output``."""

    body: Json
    input: Sequence[Json]  # its own, without what was said before
    previous: str | None = None  # the id of the response that it goes on from
    running: bool = False  # in this process: it fails if that ends first
    events: Sequence[Json] = ()  # that told of it, where they were kept


class NotThere(LookupError):
    """``id`` is of a response that is not kept, or no longer."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


class Responses:
    """All methods may be called from any thread, and answer at once with a Future."""

    def __init__(self, do: Do) -> None:
        self._do = do

    def put(self, response: KeptResponse) -> Future[None]:
        """Keep a response, anew where it is there. The oldest of too many go."""

        def write(db: sqlite3.Connection) -> None:
            body = {name: value for name, value in response.body.items() if name != "output"}
            items = [(False, each) for each in response.input]
            items += [(True, each) for each in response.body["output"]]
            rows = [(output, each["id"], json.dumps(each)) for output, each in items]
            events = _pack(response.events)
            written = json.dumps(body)
            size = len(written) + len(events) + sum(len(text) for _, _, text in rows)
            runner = os.getpid() if response.running else None
            now = time.time()
            db.execute("DELETE FROM responses WHERE id = ?", (body["id"],))
            number = db.execute(
                "INSERT INTO responses (id, used_at, previous, runner, body, events, bytes)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (body["id"], now, response.previous, runner, written, events, size),
            ).lastrowid
            db.executemany(
                "INSERT INTO response_items (response, is_output, id, body) VALUES (?, ?, ?, ?)",
                [(number, *row) for row in rows],
            )
            _forget_old(db, now)

        return self._do(write)

    def get(self, id: str) -> Future[KeptResponse | None]:
        def read(db: sqlite3.Connection) -> KeptResponse | None:
            row = db.execute(
                "SELECT number, previous, runner, body, events FROM responses WHERE id = ?", (id,)
            ).fetchone()
            if row is None:
                return None
            number, previous, runner, body, events = row
            items = db.execute(
                "SELECT is_output, body FROM response_items WHERE response = ? ORDER BY number",
                (number,),
            ).fetchall()
            output = [json.loads(text) for is_output, text in items if is_output]
            return KeptResponse(
                body=json.loads(body) | {"output": output},
                input=[json.loads(text) for is_output, text in items if not is_output],
                previous=previous,
                running=runner is not None,
                events=_unpack(events),
            )

        return self._do(read)

    def delete(self, id: str) -> Future[bool]:
        """Return whether it was there."""
        return self._do(
            lambda db: db.execute("DELETE FROM responses WHERE id = ?", (id,)).rowcount > 0
        )

    def conversation(self, id: str) -> Future[list[Json]]:
        """Return all that was said up to the end of a response, from the first of its chain on.

        The future raises NotThere where one of them is not kept.
        """

        def read(db: sqlite3.Connection) -> list[Json]:
            first = db.execute(
                f"{_CHAIN} SELECT previous FROM chain ORDER BY depth DESC LIMIT 1", (id,)
            ).fetchone()
            if first is None or first[0] is not None:
                raise NotThere(id if first is None else first[0])
            rows = db.execute(
                f"{_CHAIN} SELECT body FROM chain JOIN response_items"
                " ON response_items.response = chain.number"
                " ORDER BY depth DESC, response_items.number",
                (id,),
            )
            items = [json.loads(body) for (body,) in rows]
            db.execute(
                f"{_CHAIN} UPDATE responses SET used_at = ? WHERE number IN"
                " (SELECT number FROM chain)",
                (id, time.time()),
            )
            return items

        return self._do(read)

    def items(self, ids: Iterable[str]) -> Future[dict[str, Json]]:
        """Return those of the items that are kept, of responses and conversations, by id."""
        wanted = list(ids)

        def read(db: sqlite3.Connection) -> dict[str, Json]:
            found: dict[str, Json] = {}
            for id in wanted:
                row = db.execute(
                    "SELECT body FROM response_items WHERE id = ? UNION ALL"
                    " SELECT body FROM conversation_items WHERE id = ? LIMIT 1",
                    (id, id),
                ).fetchone()
                if row:
                    found[id] = json.loads(row[0])
            return found

        return self._do(read)


def fail_orphans(db: sqlite3.Connection) -> None:
    """Say of the responses that a process left behind as it ended that they failed.

    Called before this process has any: what has its number was another's.
    """
    rows = db.execute("SELECT number, runner, body FROM responses WHERE runner IS NOT NULL")
    for number, runner, text in rows.fetchall():
        if runner != os.getpid() and _lives(runner):
            continue
        said = {"code": "server_error", "message": "The program ended before this response did."}
        body = json.loads(text) | {"status": "failed", "error": said}
        db.execute(
            "UPDATE responses SET runner = NULL, body = ? WHERE number = ?",
            (json.dumps(body), number),
        )


def _forget_old(db: sqlite3.Connection, now: float) -> None:
    long_ago = now - MOST_DAYS * 24 * 60 * 60
    db.execute("DELETE FROM responses WHERE used_at < ? AND runner IS NULL", (long_ago,))
    db.execute(_TOO_MANY, (MOST_RESPONSES, MOST_BYTES))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _pack(events: Sequence[Json]) -> bytes:
    return zlib.compress(json.dumps(events).encode()) if events else b""


def _unpack(packed: bytes) -> list[Json]:
    return json.loads(zlib.decompress(packed)) if packed else []
