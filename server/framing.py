"""From dicts to bytes: JSON bodies, newline-delimited JSON, and server-sent events."""

import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TypeAlias

from quart import Response

from models.errors import InferenceError
from models.events import Event
from server.faults import UNEXPECTED
from server.fields import Json

log = logging.getLogger(__name__)

JSON = "application/json"
NATIVE_JSON = "application/json; charset=utf-8"  # what Ollama says on its own paths

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Encode: TypeAlias = Callable[[Event], Iterable[Json]]
ErrorBody: TypeAlias = Callable[[InferenceError], Json]


def reply(
    body: Json, content_type: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(to_json(body), status, headers, content_type=content_type)


def empty(status: int, headers: dict[str, str] | None = None) -> Response:
    """A reply without a body, and so without a type of one."""
    response = Response(b"", status, headers)
    response.headers.pop("Content-Type", None)
    return response


def ndjson(
    events: AsyncGenerator[Event, None], encode: Encode, error_body: ErrorBody
) -> AsyncGenerator[bytes, None]:
    return _frames(events, encode, error_body, _line)


async def sse(
    events: AsyncGenerator[Event, None], encode: Encode, error_body: ErrorBody
) -> AsyncGenerator[bytes, None]:
    """Server-sent events as OpenAI writes them: no names, and ``[DONE]`` at the end."""
    async with aclosing(_frames(events, encode, error_body, _data)) as frames:
        async for frame in frames:
            yield frame
    yield b"data: [DONE]\n\n"


def to_json(value: Json) -> bytes:
    # "replace": a model may say anything, and half a character must not end a stream.
    return _ENCODER.encode(value).encode("utf-8", "replace")


async def _frames(
    events: AsyncGenerator[Event, None],
    encode: Encode,
    error_body: ErrorBody,
    frame: Callable[[Json], bytes],
) -> AsyncGenerator[bytes, None]:
    """Whatever fails, the last frame says so."""
    async with aclosing(events):
        try:
            async for event in events:
                for chunk in encode(event):
                    yield frame(chunk)
        except InferenceError as error:
            yield frame(error_body(error))
        except Exception:
            log.exception("A stream broke off")
            yield frame(error_body(InferenceError(UNEXPECTED)))


def _line(chunk: Json) -> bytes:
    return to_json(chunk) + b"\n"


def _data(chunk: Json) -> bytes:
    return b"data: " + to_json(chunk) + b"\n\n"
