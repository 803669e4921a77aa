"""Routes to responses that are kept: read again, followed, cancelled, deleted."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence

from quart import Blueprint, Response, request

from models.errors import InvalidRequest
from server import framing
from server.fields import Json
from server.formats.openai_responses.archive import Archive
from server.formats.openai_responses.paging import page
from server.formats.openai_responses.replay import replay
from server.formats.openai_responses.runs import Run, Runs
from server.formats.openai_responses.sealed import seal
from server.framing import EVENT_STREAM, JSON, reply
from server.query import Query
from server.unread_calls import unread_headers_of

_SEALED = "reasoning.encrypted_content"


def add_routes(blueprint: Blueprint, archive: Archive, runs: Runs) -> None:
    @blueprint.get("/v1/responses/<id>")
    async def retrieve(id: str) -> Response:
        run = runs.get(id)
        query = Query(request.args)
        after = query.integer("starting_after", least=0)
        stream = query.flag("stream")
        included = query.texts("include")
        if any(each != _SEALED for each in included):
            query.ignore("include")
        said = query.ignored_headers(request.headers)
        if stream:
            if run:
                return events_reply(run.follow(-1 if after is None else after), said)
            told = replay(await archive.response(id))
            return events_reply(_all(told if after is None else told[after + 1 :]), said)
        if run:
            body, events = run.response(), run.log
        else:
            kept = await archive.response(id)
            body, events = kept.body, kept.events
        said |= unread_headers_of(events)
        if _SEALED in included:
            body["output"] = [_with_sealed(each) for each in body["output"]]
        return reply(body, JSON, headers=said)

    @blueprint.delete("/v1/responses/<id>")
    async def delete(id: str) -> Response:
        if run := runs.get(id):
            await run.cancel()
        await archive.delete(id)
        return reply({"id": id, "object": "response", "deleted": True}, JSON)

    @blueprint.post("/v1/responses/<id>/cancel")
    async def cancel(id: str) -> Response:
        if run := runs.get(id):
            await run.cancel()
            return reply(run.response(), JSON)
        kept = await archive.response(id)
        if not kept.body["background"]:
            raise InvalidRequest("Cannot cancel a synchronous response.", field="id")
        return reply(kept.body, JSON)

    @blueprint.get("/v1/responses/<id>/input_items")
    async def input_items(id: str) -> Response:
        run = runs.get(id)
        items: Sequence[Json] = run.wanted.items if run else await archive.input_of(id)
        query = Query(request.args)
        body = page(items, query)
        return reply(body, JSON, headers=query.ignored_headers(request.headers))


def follow(run: Run) -> Response:
    return events_reply(run.follow())


def events_reply(events: AsyncIterable[Json], headers: dict[str, str] | None = None) -> Response:
    async def frames() -> AsyncGenerator[bytes, None]:
        async for each in events:
            yield framing.event(each)

    return Response(frames(), headers=headers, content_type=EVENT_STREAM)


async def _all(events: Sequence[Json]) -> AsyncGenerator[Json, None]:
    for each in events:
        yield each


def _with_sealed(item: Json) -> Json:
    if item["type"] != "reasoning" or "encrypted_content" in item:
        return item
    thought = [part["text"] for part in (item.get("content") or item["summary"])]
    return item | {"encrypted_content": seal("".join(thought))}
