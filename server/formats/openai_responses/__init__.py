"""OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses"""

import asyncio

from quart import Blueprint, Response, request

from server.answer import Asked, answer
from server.body import read_asked
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.requests import Kept, draft, read
from server.formats.openai_responses.wire import wire_of
from server.streams import Streams


def routes(streams: Streams) -> Blueprint:
    blueprint = Blueprint("openai_responses", __name__)

    @blueprint.post("/v1/responses")
    async def create() -> Response:
        drafted = await read_asked(request, draft)
        wanted = await asyncio.to_thread(read, drafted, Kept())
        encoder = Encoder(wanted)
        asked = Asked(
            request=wanted.request,
            stream=wanted.stream,
            encoder=encoder,
            ignored=wanted.ignored,
            wish=wanted.wish,
        )
        return await answer(streams, wire_of(encoder), asked, request.headers)

    return blueprint
