"""Files that are sent to make models of, by the SHA-256 of what is in them."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus

from quart import Blueprint, Request, Response, request

from models.blobs import Blobs, sha256_in
from models.errors import InvalidRequest
from models.store import Store
from server.body import arriving
from server.framing import NATIVE_JSON
from server.paced import pace_of

PATH = "/api/blobs/"
_PIECE_BYTES = 4 << 20  # written and hashed at once


def add_routes(blueprint: Blueprint, store: Store) -> None:
    @blueprint.route(f"{PATH}<digest>", methods=["HEAD"])
    async def head(digest: str) -> Response:
        try:
            found = await asyncio.to_thread(store.blobs.find, sha256_in(digest))
        except InvalidRequest:
            return _empty(HTTPStatus.BAD_REQUEST)
        return _empty(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)

    @blueprint.post(f"{PATH}<digest>")
    async def send(digest: str) -> Response:
        sha256 = sha256_in(digest)
        if await asyncio.to_thread(store.blobs.find, sha256):
            async for _ in _pieces(request):
                pass  # it is here: until all was sent nobody hears that
            return _empty(HTTPStatus.OK)
        await _take(store.blobs, sha256)
        return _empty(HTTPStatus.CREATED)


async def _take(blobs: Blobs, sha256: str) -> None:
    with blobs.upload(sha256, request.content_length or 0) as upload:
        async for piece in _pieces(request):
            await asyncio.to_thread(upload.write, piece)
        await asyncio.to_thread(upload.finish)


async def _pieces(asked: Request) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces that are worth a thread's while, as fast as they are used."""
    pace = pace_of(asked)
    gathered: list[bytes] = []
    size = 0
    async for chunk in arriving(asked):
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PIECE_BYTES:
            yield b"".join(gathered)
            pace.used(size)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)


def _empty(status: HTTPStatus) -> Response:
    response = Response(b"", status)
    if status < HTTPStatus.BAD_REQUEST:
        del response.headers["Content-Type"]
    else:
        response.headers["Content-Type"] = NATIVE_JSON
    return response
