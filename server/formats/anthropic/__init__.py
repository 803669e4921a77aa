"""Anthropic's messages: https://docs.claude.com/en/api/messages

Everything that the wire can say to a model of one's own is read; whether the model can do it
is asked elsewhere. Tools that run on Anthropic's computers are passed over, and named.
"""

import re

from quart import Blueprint, Response, request
from werkzeug.datastructures import Headers

from models.errors import InvalidRequest
from server.answer import answer
from server.body import read_asked
from server.formats.anthropic.models import list_body, model_body
from server.formats.anthropic.requests import parse, parse_count
from server.framing import reply
from server.ignored import ignored_headers
from server.query import Query
from server.shelf import Shelf
from server.streams import Streams
from server.tokens import Tokens
from server.wires import ANTHROPIC, ANTHROPIC_VERSION, request_id, wire_at

_MODELS = "/v1/models"
_A_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def routes(streams: Streams, tokens: Tokens, shelf: Shelf) -> Blueprint:
    blueprint = Blueprint("anthropic", __name__)

    @blueprint.post("/v1/messages")
    async def messages() -> Response:
        _check_version(request.headers)
        asked = await read_asked(request, parse)
        return await answer(streams, ANTHROPIC, asked, request.headers)

    @blueprint.post("/v1/messages/count_tokens")
    async def count_tokens() -> Response:
        _check_version(request.headers)
        asked, ignored = await read_asked(request, parse_count)
        headers = ignored_headers(ignored, request.headers)
        count = await tokens.count(asked)
        return reply({"input_tokens": count}, ANTHROPIC.content_type, headers=headers)

    @blueprint.before_app_request  # these paths are OpenAI's too: the header tells who asks
    async def models() -> Response | None:
        asked, _, id = request.path.partition(f"{_MODELS}/")
        if wire_at(request.path, request.headers) is not ANTHROPIC or request.method != "GET":
            return None
        if asked not in ("", _MODELS):
            return None
        _check_version(request.headers)
        query = Query(request.args)
        if id:
            headers = query.ignored_headers(request.headers)
            body = model_body(await shelf.find(id), id=id)
            return reply(body, ANTHROPIC.content_type, headers=headers)
        body = list_body(await shelf.all(), query)
        headers = query.ignored_headers(request.headers)
        return reply(body, ANTHROPIC.content_type, headers=headers)

    @blueprint.after_app_request  # unknown paths have an id too
    async def name_request(response: Response) -> Response:
        if wire_at(request.path, request.headers) is ANTHROPIC:
            response.headers["request-id"] = request_id()
        return response

    return blueprint


def _check_version(headers: Headers) -> None:
    """Anthropic has two, which differ in nothing that is left: any day is taken, and no day."""
    version = headers.get(ANTHROPIC_VERSION)
    if version and not _A_VERSION.fullmatch(version):
        raise InvalidRequest(
            f"{ANTHROPIC_VERSION}: {version[:40]!r} is not a valid version", field=None
        )
