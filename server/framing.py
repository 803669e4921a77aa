"""From dicts to bytes: JSON bodies, newline-delimited JSON, and server-sent events."""

import json

from quart import Response

from server.fields import Json

JSON = "application/json"
NATIVE_JSON = "application/json; charset=utf-8"  # what Ollama says on its own paths
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# JSON lets them stand in a string, and some clients end a line at them (str.splitlines).
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def reply(
    body: Json, content_type: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(to_json(body), status, headers, content_type=content_type)


def to_json(value: Json) -> bytes:
    text = _ENCODER.encode(value)
    if not text.isascii():
        text = text.translate(_LINE_ENDS)
    # "replace": a model may say anything, and half a character must not end a stream.
    return text.encode("utf-8", "replace")


def line(chunk: Json) -> bytes:
    return to_json(chunk) + b"\n"


def data(chunk: Json) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + to_json(chunk) + b"\n\n"


def event(chunk: Json) -> bytes:
    """A server-sent event that is named by its ``type``, the first of its fields."""
    encoded = to_json(chunk)
    name = encoded.split(b'"', 4)[3]
    return b"event: " + name + b"\ndata: " + encoded + b"\n\n"
