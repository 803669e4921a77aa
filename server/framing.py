"""From dicts to bytes: JSON bodies, newline-delimited JSON, and server-sent events."""

import json
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import TypeAlias

from quart import Response

from server.fields import Json

JSON = "application/json"
NATIVE_JSON = "application/json; charset=utf-8"  # what Ollama says on its own paths
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# JSON lets them stand in a string, and some clients end a line at them (str.splitlines).
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_MARK = "\ue000{}\ue000"  # stands for a text that comes later


class Encoded(bytes):
    """A JSON object that is bytes already."""

    __slots__ = ()


Chunk: TypeAlias = Json | Encoded


class Template:
    """A JSON object that is encoded once for many answers, but for a few texts in it.

    ``make`` is given as many texts as it takes, in the order in which they stand in the
    object, and so is ``fill``.
    """

    def __init__(self, make: Callable[..., Json], texts: int) -> None:
        marks = [_MARK.format(number) for number in range(texts)]
        rest = _ENCODER.encode(make(*marks))
        self._pieces: list[str] = []
        for mark in marks:
            piece, _, rest = rest.partition(f'"{mark}"')
            self._pieces.append(piece)
        self._pieces.append(rest)

    def fill(self, *texts: str) -> Encoded:
        made = self._pieces[0]
        for text, piece in zip(texts, self._pieces[1:], strict=True):
            made += encode_basestring(text) + piece
        return Encoded(_to_bytes(made))


def reply(
    body: Json, content_type: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(to_json(body), status, headers, content_type=content_type)


def to_json(value: Chunk) -> bytes:
    return value if isinstance(value, Encoded) else _to_bytes(_ENCODER.encode(value))


def line(chunk: Chunk) -> bytes:
    return to_json(chunk) + b"\n"


def data(chunk: Chunk) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + to_json(chunk) + b"\n\n"


def event(chunk: Chunk) -> bytes:
    """A server-sent event that is named by its ``type``, the first of its fields."""
    encoded = to_json(chunk)
    name = encoded.split(b'"', 4)[3]
    return b"event: " + name + b"\ndata: " + encoded + b"\n\n"


def _to_bytes(text: str) -> bytes:
    if not text.isascii():
        for end, escaped in _LINE_ENDS.items():
            if end in text:
                text = text.replace(end, escaped)
    # "replace": a model may say anything, and half a character must not end a stream.
    return text.encode("utf-8", "replace")
