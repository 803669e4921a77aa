"""From the bytes of a request to a JSON object, with everything refused that is neither."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

from quart import Request, current_app

from models.errors import InvalidRequest
from server import strict_json
from server.encodings import plain
from server.fields import Json
from server.large_bodies import LargeBodies
from server.strict_json import NotJson
from server.wires import wire_at

Parsed = TypeVar("Parsed")

_STALL_SECONDS = 60.0  # without a byte
# What is read at once, in a few milliseconds.
_SMALL_BYTES = 1 << 20
_FEW_COMMAS = 10_000  # a value each, where they are not in texts


class BodyTooLarge(InvalidRequest):
    status_hint = 413

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"The request body has more than the {most_bytes} bytes that are read.")


class BodyStalled(InvalidRequest):
    status_hint = 408

    def __init__(self) -> None:
        super().__init__("The request body stopped coming.")


async def read_json(request: Request) -> Json:
    """Return the JSON object that a request carries, whatever type it claims to have.

    Raises:
        InvalidRequest: there is none, with a sentence that says why.
        InferenceError: a large one could not be read.
    """
    return await read_asked(request, lambda body: body)


async def read_asked(request: Request, parse: Callable[[Json], Parsed]) -> Parsed:
    """Return what ``parse`` makes of the JSON object that a request carries.

    Where the body is large, ``parse`` is called on a thread of its own: there may be pictures.
    Raises what ``read_json`` does, and what ``parse`` does.
    """
    chunks = await _read(request)
    try:
        if _is_small(chunks):
            return parse(strict_json.parse(b"".join(chunks)))
        bodies: LargeBodies = current_app.extensions["large_bodies"]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(bodies.thread, lambda: parse(bodies.parse(chunks)))
    except NotJson as error:
        raise InvalidRequest(str(error)) from None


def _is_small(chunks: Sequence[bytes]) -> bool:
    if sum(map(len, chunks)) > _SMALL_BYTES:
        return False
    return sum(chunk.count(b",") for chunk in chunks) <= _FEW_COMMAS


async def _read(request: Request) -> list[bytes]:
    """Read the body, and no more of it than may be read."""
    most_bytes = wire_at(request.path, request.headers).most_body_bytes
    if (request.content_length or 0) > most_bytes:
        raise BodyTooLarge(most_bytes)
    body = plain(request.headers.get("Content-Encoding", ""))
    chunks: list[bytes] = []
    came_bytes = made_bytes = 0
    async for chunk in arriving(request):
        came_bytes += len(chunk)
        for piece in body.pieces(chunk):
            made_bytes += len(piece)
            if max(came_bytes, made_bytes) > most_bytes:
                raise BodyTooLarge(most_bytes)
            chunks.append(piece)
            await asyncio.sleep(0)  # a little can become very much
    body.end()
    return chunks


async def arriving(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield a body in the chunks in which it comes.

    Raises:
        BodyStalled: it has stopped coming before its end.
    """
    body = aiter(request.body)
    while True:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                chunk = await anext(body, None)
        except TimeoutError:
            raise BodyStalled from None
        if chunk is None:
            return
        yield chunk
