"""OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses

What is kept of them, for how long, and where we differ: docs/decisions/responses.md.
"""

import asyncio

from quart import Blueprint, Response, request

from models.chat import Origin
from server.answer import Asked, answer
from server.body import read_asked
from server.contract import Route
from server.formats.openai_responses import compaction, conversations, session, stored
from server.formats.openai_responses.archive import Archive, Records
from server.formats.openai_responses.contract import COMPACT, CREATE, INPUT_TOKENS
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.keeping import Keeping
from server.formats.openai_responses.requests import Wanted, draft, read
from server.formats.openai_responses.runs import Runs
from server.framing import JSON, reply
from server.ignored import ignored_headers
from server.shelf import Shelf
from server.streams import Streams
from server.wires import OPENAI_RESPONSES


def routes(streams: Streams, shelf: Shelf, records: Records) -> Blueprint:
    blueprint = Blueprint("openai_responses", __name__)
    archive = Archive(records)
    runs = Runs(archive.keep)

    @blueprint.post("/v1/responses")
    async def create() -> Response:
        wanted = await _wanted(archive, CREATE)
        if wanted.background:
            return await _in_background(streams, shelf, runs, wanted)
        keeping = Keeping(Encoder(wanted), lambda body: archive.keep(wanted, body))
        asked = Asked(
            request=wanted.request,
            stream=wanted.stream,
            encoder=keeping,
            ignored=wanted.ignored,
            wish=wanted.wish,
            ping=keeping.beat,
        )
        return await answer(streams, keeping.wire(), asked, request.headers)

    @blueprint.post("/v1/responses/input_tokens")
    async def input_tokens() -> Response:
        wanted = await _wanted(archive, INPUT_TOKENS)
        said = ignored_headers(wanted.ignored, request.headers)
        count = await asyncio.to_thread(streams.engines.count_tokens, wanted.request)
        body = {"object": "response.input_tokens", "input_tokens": count}
        return reply(body, JSON, headers=said)

    @blueprint.post("/v1/responses/compact")
    async def compact() -> Response:
        wanted = await _wanted(archive, COMPACT)
        asked = Asked(
            request=compaction.request_of(wanted),
            stream=False,
            encoder=compaction.Encoder(compaction.what_stays(wanted.items)),
            ignored=wanted.ignored,
        )
        return await answer(streams, OPENAI_RESPONSES, asked, request.headers)

    @blueprint.after_app_serving
    async def end_runs() -> None:
        await runs.end()

    stored.add_routes(blueprint, archive, runs)
    blueprint.register_blueprint(conversations.routes(archive))
    session.add_routes(blueprint, streams, archive)
    return blueprint


async def _wanted(archive: Archive, route: Route) -> Wanted:
    drafted = await read_asked(request, draft)
    kept = await archive.look_up(drafted)
    # Pictures take their time, those of a whole conversation too.
    return await asyncio.to_thread(read, drafted, kept, route)


async def _in_background(streams: Streams, shelf: Shelf, runs: Runs, wanted: Wanted) -> Response:
    """Answer at once, and go on whether or not anybody listens."""
    said = ignored_headers(wanted.ignored, request.headers)
    await shelf.find(wanted.request.model)
    client = request.headers.get("User-Agent", "")[:200]
    run = runs.start(streams, wanted, Origin("api", OPENAI_RESPONSES.name, client))
    if not wanted.stream:
        return reply(run.response(), JSON, headers=said)
    following = stored.follow(run)
    following.headers.update(said)
    return following
