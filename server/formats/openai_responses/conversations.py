"""OpenAI's conversations: https://platform.openai.com/docs/api-reference/conversations"""

from collections.abc import Sequence

from quart import Blueprint, Request, Response, request

from models.errors import InvalidRequest
from models.records.conversations import KeptConversation
from server.body import read_json
from server.contract import Route, settle
from server.fields import Fields, Json
from server.formats.openai_responses.archive import Archive
from server.formats.openai_responses.contract import (
    ADD_ITEMS,
    BEGIN_CONVERSATION,
    CHANGE_CONVERSATION,
)
from server.formats.openai_responses.head import read_metadata
from server.formats.openai_responses.items import Conversation
from server.formats.openai_responses.paging import list_body, page
from server.framing import JSON, reply
from server.ignored import ignored_headers
from server.query import Query

_MOST_ITEMS = 20
_PATH = "/v1/conversations"


def routes(archive: Archive) -> Blueprint:
    blueprint = Blueprint("openai_conversations", __name__)

    @blueprint.post(_PATH)
    async def begin() -> Response:
        fields = Fields(await _body(request))
        items = _items(fields)
        metadata = read_metadata(fields)
        said = _ignored(fields, BEGIN_CONVERSATION)
        return reply(_told(await archive.begin(metadata, items)), JSON, headers=said)

    @blueprint.get(f"{_PATH}/<id>")
    async def retrieve(id: str) -> Response:
        return reply(_told(await archive.conversation(id)), JSON)

    @blueprint.post(f"{_PATH}/<id>")
    async def change(id: str) -> Response:
        fields = Fields(await _body(request))
        if "metadata" not in fields.given():
            raise fields.missing("metadata")
        metadata = read_metadata(fields)
        said = _ignored(fields, CHANGE_CONVERSATION)
        return reply(_told(await archive.change(id, metadata)), JSON, headers=said)

    @blueprint.delete(f"{_PATH}/<id>")
    async def delete(id: str) -> Response:
        await archive.delete_conversation(id)
        return reply({"id": id, "object": "conversation.deleted", "deleted": True}, JSON)

    _add_item_routes(blueprint, archive)
    return blueprint


def _add_item_routes(blueprint: Blueprint, archive: Archive) -> None:
    @blueprint.post(f"{_PATH}/<id>/items")
    async def add(id: str) -> Response:
        fields = Fields(await _body(request))
        items = _items(fields)
        if not items:
            raise fields.missing("items")
        said = _ignored(fields, ADD_ITEMS)
        await archive.add(id, items)
        return reply(list_body(items), JSON, headers=said)

    @blueprint.get(f"{_PATH}/<id>/items")
    async def items(id: str) -> Response:
        query = Query(request.args)
        body = page(await archive.items(id), query)
        return reply(body, JSON, headers=query.ignored_headers(request.headers))

    @blueprint.get(f"{_PATH}/<id>/items/<item>")
    async def item(id: str, item: str) -> Response:
        return reply(await archive.item(id, item), JSON)

    @blueprint.delete(f"{_PATH}/<id>/items/<item>")
    async def delete_item(id: str, item: str) -> Response:
        return reply(_told(await archive.delete_item(id, item)), JSON)


async def _body(request: Request) -> Json:
    """Return what was sent, {} where nothing was: a conversation may begin without."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    return await read_json(request)


def _items(fields: Fields) -> Sequence[Json]:
    given = fields.objects("items") or ()
    if len(given) > _MOST_ITEMS:
        raise InvalidRequest(f'"items" may have {_MOST_ITEMS} at most.', field="items")
    conversation = Conversation()
    items = [conversation.take(each) for each in given]
    return [each for each in items if each is not None]


def _ignored(fields: Fields, route: Route) -> dict[str, str]:
    return ignored_headers(settle(fields, route), request.headers)


def _told(kept: KeptConversation) -> Json:
    return {
        "id": kept.id,
        "object": "conversation",
        "created_at": kept.created_at,
        "metadata": kept.metadata,
    }
