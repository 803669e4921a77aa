"""The API's description of itself: /openapi.json, and the page that shows it."""

from functools import cache
from pathlib import Path

from quart import Blueprint, Response

import resources
from server.framing import JSON, to_json
from server.openapi import document

_PAGE = Path(resources.__file__).with_name("api.html")
# It loads nothing but the description, from where it comes itself.
_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)


def routes() -> Blueprint:
    blueprint = Blueprint("description", __name__)

    @blueprint.get("/openapi.json")
    async def openapi() -> Response:
        return Response(_description(), content_type=JSON)

    @blueprint.get("/docs")
    async def docs() -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        return Response(_page(), headers=headers, content_type="text/html; charset=utf-8")

    return blueprint


@cache
def _description() -> bytes:
    return to_json(document())


@cache
def _page() -> bytes:
    return _PAGE.read_bytes()
