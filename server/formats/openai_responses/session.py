"""Responses over a websocket: one after the other on one connection, each as its events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from quart import Blueprint, current_app, websocket

from models.chat import Origin
from models.errors import InferenceError, InvalidRequest
from server import strict_json
from server.fields import Json
from server.formats.openai_responses.archive import Archive
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.requests import Kept, Wanted, draft, read
from server.formats.openai_responses.runs import Run
from server.framing import to_json
from server.ignored import ignored_headers
from server.large_bodies import LargeBodies
from server.streams import Streams
from server.strict_json import NotJson
from server.wires import OPENAI_RESPONSES

_SMALL_CHARACTERS = 1 << 18  # read at once
_HTTP_ALONE = ("stream", "stream_options", "background")


def add_routes(blueprint: Blueprint, streams: Streams, archive: Archive) -> None:
    @blueprint.websocket("/v1/responses")
    async def converse() -> None:
        session = Session(streams, archive)
        while True:
            message = await websocket.receive()
            async with aclosing(session.answer(message)) as events:
                async for event in events:
                    await websocket.send(to_json(event).decode())


class Session:
    """One connection. What was said last on it can be gone on from, stored or not."""

    def __init__(self, streams: Streams, archive: Archive) -> None:
        self._streams = streams
        self._archive = archive
        self._last: tuple[str, list[Json]] | None = None  # a response, and all up to its end

    async def answer(self, message: str | bytes) -> AsyncGenerator[Json, None]:
        """Yield the events that a message leads to; what is wrong with it is one too."""
        previous = ""
        try:
            body = await _read(message)
            warms_up = body.pop("generate", None) is False
            previous = str(body.get("previous_response_id") or "")
            wanted, before = await self._read(body)
            headers = ignored_headers(wanted.ignored, websocket.headers)
        except InferenceError as error:
            self._forget(previous)
            yield _error(error)
            return
        told: Json = {"headers": headers} if headers else {}  # as http would have had them
        async with aclosing(self._events(wanted, before, warms_up)) as events:
            async for event in events:
                yield event | told
                told = {}

    async def _events(
        self, wanted: Wanted, before: list[Json], warms_up: bool
    ) -> AsyncGenerator[Json, None]:
        if warms_up:
            for event in self._warm(wanted, before):
                yield event
            return
        async with aclosing(self._run(wanted, before)) as events:
            async for event in events:
                yield event

    async def _read(self, body: Json) -> tuple[Wanted, list[Json]]:
        drafted = draft(body)
        if self._last and drafted.previous == self._last[0]:
            kept = Kept(self._last[1], await self._archive.referred(drafted))
        else:
            kept = await self._archive.look_up(drafted)
        wanted = await asyncio.to_thread(read, drafted, kept)
        return wanted, [*kept.before]

    async def _run(self, wanted: Wanted, before: list[Json]) -> AsyncGenerator[Json, None]:
        client = websocket.headers.get("User-Agent", "")[:200]
        run = Run(self._streams, wanted, Origin("api", OPENAI_RESPONSES.name, client), self._keep)
        task = asyncio.create_task(run.run())
        try:
            async for event in run.follow():
                yield event
        finally:  # whoever hangs up frees the model
            task.cancel()
        self._remember(wanted, before, run.response())

    def _warm(self, wanted: Wanted, before: list[Json]) -> list[Json]:
        encoder = Encoder(wanted)
        events = [*encoder.pass_over()]
        self._archive.keep(wanted, encoder.response())
        self._remember(wanted, before, encoder.response())
        return events

    def _keep(self, run: Run) -> None:
        body = run.response()
        if body["status"] != "failed":  # or left in the middle
            self._archive.keep(run.wanted, body)

    def _remember(self, wanted: Wanted, before: list[Json], body: Json) -> None:
        if body["status"] in ("completed", "incomplete"):
            self._last = body["id"], [*before, *wanted.items, *body["output"]]
        else:
            self._forget(wanted.previous or "")

    def _forget(self, previous: str) -> None:
        """A turn that failed leaves nothing to go on from."""
        if self._last and self._last[0] == previous:
            self._last = None


async def _read(message: str | bytes) -> Json:
    """Raises InvalidRequest."""
    data = message if isinstance(message, bytes) else message.encode("utf-8", "replace")
    try:
        if len(data) <= _SMALL_CHARACTERS:
            body = strict_json.parse(data)
        else:
            bodies: LargeBodies = current_app.extensions["large_bodies"]
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(bodies.thread, lambda: bodies.parse([data]))
    except NotJson as error:
        raise InvalidRequest(str(error)) from None
    if body.pop("type", None) != "response.create":
        raise InvalidRequest("\"type\" must be 'response.create'.", field="type")
    for name in _HTTP_ALONE:
        body.pop(name, None)
    return body


def _error(error: InferenceError) -> Json:
    said = OPENAI_RESPONSES.error_body(error)["error"]
    return {
        "type": "error",
        "status": int(error.status_hint),
        "error": said | {"code": said["code"] or said["type"]},
    }
