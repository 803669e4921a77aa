"""Work that takes its time, told status by status: create, pull and push."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from quart import Response

from models.errors import InferenceError
from models.hub_progress import PullProgress
from server.faults import UNEXPECTED
from server.fields import Json
from server.framing import JSON, NDJSON, line, reply
from server.wires import OLLAMA

# What is told with bytes; with the other statuses there are none, and clients look for that.
_COUNTED = ("pulling", "pushing", "quantizing")

log = logging.getLogger(__name__)

Work = Callable[[Callable[[PullProgress], None], threading.Event], object]
"""Is called on a thread of its own, with what hears of progress, and what says to stop."""


async def told(subject: str, work: Work, *, stream: bool, headers: dict[str, str]) -> Response:
    """Do the work on a model, and tell how it goes, in lines or when it is over.

    Raises:
        InferenceError: it failed before there was anything to tell.
    """
    said = _statuses(subject, work)
    if not stream:
        *_, last = [each async for each in said]
        return reply(last, JSON, headers=headers)
    first = await anext(said)

    async def lines() -> AsyncGenerator[bytes, None]:
        yield line(first)
        try:
            async for each in said:
                yield line(each)
        except Exception as error:
            if not isinstance(error, InferenceError):
                log.error("What was asked for could not be done", exc_info=error)
                error = InferenceError(UNEXPECTED)
            yield line(OLLAMA.error_body(error))
        finally:
            await said.aclose()

    return Response(lines(), headers=headers, content_type=NDJSON)


async def _statuses(subject: str, work: Work) -> AsyncGenerator[Json, None]:
    """Yield what is told; leaving this stops the work."""
    loop = asyncio.get_running_loop()
    told_of: asyncio.Queue[PullProgress | None] = asyncio.Queue()
    stop = threading.Event()

    def tell(progress: PullProgress | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
            loop.call_soon_threadsafe(told_of.put_nowait, progress)

    def do() -> None:
        try:
            work(tell, stop)
        finally:
            tell(None)

    doing = asyncio.ensure_future(asyncio.to_thread(do))
    # Whoever leaves early hears of no error: it is not to be reported as one that nobody took.
    doing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        while (progress := await told_of.get()) is not None:
            yield _body(subject, progress)
        await doing
    finally:
        stop.set()


def _body(subject: str, progress: PullProgress) -> Json:
    """Clients have a bar for each digest: one of all the files together has a made-up one."""
    if not progress.total_bytes or progress.status.partition(" ")[0] not in _COUNTED:
        return {"status": progress.status}
    digest = progress.sha256 or hashlib.sha256(subject.encode()).hexdigest()
    status = progress.status
    if status in ("pulling", "pushing"):
        status = f"{status} {digest[:12]}"
    body: Json = {
        "status": status,
        "digest": f"sha256:{digest}",
        "total": progress.total_bytes,
    }
    return body | ({"completed": progress.completed_bytes} if progress.completed_bytes else {})
