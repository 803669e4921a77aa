"""A body is read no faster than it is used."""

import asyncio
from typing import Any

from server.paced import Pace

PIECE = bytes(1 << 20)


async def test_what_is_not_used_is_not_read():
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": PIECE, "more_body": True}

    pace = Pace(receive)

    async def take_all() -> None:
        while True:
            await pace.receive()

    taking = asyncio.create_task(take_all())
    for _ in range(100):
        await asyncio.sleep(0)
    assert read == 8

    pace.used(3 * len(PIECE))
    for _ in range(100):
        await asyncio.sleep(0)
    assert read == 11

    taking.cancel()


async def test_that_the_client_has_left_is_heard():
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    assert (await Pace(receive).receive())["type"] == "http.disconnect"
