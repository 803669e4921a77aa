"""A database as the first program left it, written by that program's own words."""

import sqlite3
from pathlib import Path

_FIRST_SCHEMA = """
CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL
);
CREATE TABLE turns (
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
PRAGMA user_version = 1;
"""

CHATS = [
    ("france", "What is the capital of France?", 1_700_000_000.0, 1_700_000_100.0, None),
    ("story", "Tell me a story", 1_700_000_200.0, 1_700_000_300.0, None),
    ("empty", "Begun and never answered", 1_700_000_400.0, 1_700_000_400.0, None),
]
TURNS = [
    ("france", 0, "user", "What is the capital of France?", "done", "", "", 0, 0.0),
    ("france", 1, "assistant", "Paris.", "done", "pocket:latest", "", 3, 0.5),
    ("france", 2, "user", "And of Italy?", "done", "", "", 0, 0.0),
    ("france", 3, "assistant", "", "failed", "pocket:latest", "It crashed.", 0, 0.0),
    ("france", 4, "user", "Again: and of Italy?", "done", "", "", 0, 0.0),
    (
        "france",
        5,
        "assistant",
        "Rome, \u2014 of\n\ncourse\x00.",
        "cut",
        "org/other:Q8_0",
        "",
        7,
        1.5,
    ),
    ("story", 0, "user", "Tell me a story", "done", "", "", 0, 0.0),
    ("story", 1, "assistant", "Once upon", "writing", "pocket:latest", "", 0, 0.0),
]


def write_old_chats(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(home / "chats.db")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(_FIRST_SCHEMA)
    with db:
        db.executemany("INSERT INTO chats VALUES (?, ?, ?, ?, ?)", CHATS)
        db.executemany("INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", TURNS)
    db.close()
