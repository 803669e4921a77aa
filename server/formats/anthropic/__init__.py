"""Anthropic's messages: https://docs.claude.com/en/api/messages

Everything that the wire can say to a model of one's own is read; whether the model can do it
is asked elsewhere. Tools that run on Anthropic's computers are passed over, and named.
"""

import asyncio

from quart import Blueprint, Response, request

from server.answer import answer
from server.body import read_json
from server.formats.anthropic.requests import parse, parse_count
from server.framing import reply
from server.ignored import ignored_headers
from server.streams import Streams
from server.wires import ANTHROPIC, request_id, wire_at


def routes(streams: Streams) -> Blueprint:
    blueprint = Blueprint("anthropic", __name__)

    @blueprint.post("/v1/messages")
    async def messages() -> Response:
        asked = parse(await read_json(request))
        return await answer(streams, ANTHROPIC, asked, request.headers)

    @blueprint.post("/v1/messages/count_tokens")
    async def count_tokens() -> Response:
        asked, ignored = parse_count(await read_json(request))
        headers = ignored_headers(ignored, request.headers)
        count = await asyncio.to_thread(streams.engines.count_tokens, asked)
        return reply({"input_tokens": count}, ANTHROPIC.content_type, headers=headers)

    @blueprint.after_app_request  # unknown paths have an id too
    async def name_request(response: Response) -> Response:
        if wire_at(request.path) is ANTHROPIC:
            response.headers["request-id"] = request_id()
        return response

    return blueprint
