"""Parts of a message as rows of a table, and back.

A row is (n, within, kind, body, blob). ``n`` counts the rows of a message. ``within`` is
the ``n`` of the tool result that a row belongs to, or None. ``blob`` is the digest of what
is kept as a file.

A newer program may have kinds of parts that this one has no word for. They are passed
over here, and stay where they are: what was kept once is not written again.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from models.chat import Image, Part, Reasoning, Text, ToolCall, ToolResult
from models.records.blobs import Blobs

_IMAGE, _LOW = "image", "image_low"  # of which little is to be seen

Row: TypeAlias = tuple[int, int | None, str, str, str | None]


def encode(parts: Iterable[Part], blobs: Blobs) -> list[Row]:
    """Return a message's rows; the pictures in it are kept as blobs first.

    Raises:
        OSError: a blob cannot be written, or one that was kept is gone.
    """
    rows: list[Row] = []
    for part in parts:
        place = len(rows)
        rows.append((place, None, *_encode(part, blobs)))
        if isinstance(part, ToolResult):
            for inner in part.parts:
                rows.append((len(rows), place, *_encode(inner, blobs)))
    return rows


def decode(rows: Iterable[Row], blobs: Blobs) -> tuple[Part, ...]:
    """Return the parts that this program knows, in their order."""
    outer: dict[int, Part] = {}
    inner: dict[int, list[Text | Image]] = {}
    for n, within, kind, body, blob in rows:
        part = _decode(kind, body, blob, blobs)
        if part is None:
            continue
        if within is None:
            outer[n] = part
        elif isinstance(part, Text | Image):
            inner.setdefault(within, []).append(part)
    return tuple(
        ToolResult(part.call_id, tuple(inner.get(n, ())), part.name, part.is_error)
        if isinstance(part, ToolResult)
        else part
        for n, part in outer.items()
    )


def _encode(part: Part, blobs: Blobs) -> tuple[str, str, str | None]:
    match part:
        case Text(text):
            return "text", text, None
        case Reasoning(text):
            return "reasoning", text, None
        case Image(source, detail, name):
            kind = _LOW if detail else _IMAGE
            if isinstance(source, str):
                return kind, source, None
            return kind, name, blobs.put(source if isinstance(source, bytes) else source.read())
        case ToolCall(id_, name, arguments):
            fields = {"id": id_, "name": name, "arguments": arguments}
            return "tool_call", json.dumps(fields), None
        case ToolResult():
            fields = {"call_id": part.call_id, "name": part.name, "is_error": part.is_error}
            return "tool_result", json.dumps(fields), None


def _decode(kind: str, body: str, blob: str | None, blobs: Blobs) -> Part | None:
    match kind:
        case "text":
            return Text(body)
        case "reasoning":
            return Reasoning(body)
        case "image" | "image_low":
            detail = "low" if kind == _LOW else None
            if blob is None:
                return Image(body, detail)
            source = blobs.find(blob)
            return None if source is None else Image(source, detail, body)
        case "tool_call":
            return _read(body, lambda said: ToolCall(said["id"], said["name"], said["arguments"]))
        case "tool_result":
            return _read(
                body, lambda said: ToolResult(said["call_id"], (), said["name"], said["is_error"])
            )
        case _:
            return None


def _read(body: str, make: Callable[[dict[str, Any]], Part]) -> Part | None:
    try:
        return make(json.loads(body))
    except (ValueError, TypeError, KeyError):  # a newer program writes it otherwise
        return None
