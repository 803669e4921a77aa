"""Ollama's routes that change which models there are: create, copy, delete, pull, push."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from threading import Event
from typing import ClassVar

from quart import Blueprint, Response, request

from models.chat import Origin, UnloadRequest
from models.creation import Creation, OnProgress, Recipe
from models.downloads import Puller
from models.errors import (
    InferenceError,
    InvalidModelName,
    InvalidRequest,
    LoadFailed,
    ModelNotFound,
)
from models.hub_errors import PullCancelled
from models.hub_links import model_at
from models.model import Said
from models.modelfile import said
from models.names import ModelName
from models.registry import Registry
from models.store import Store
from server.body import read_json
from server.contract import settle
from server.fields import Fields
from server.formats.ollama.contract import COPY, CREATE, DELETE, PULL, PUSH
from server.formats.ollama.fields import read_name
from server.formats.ollama.progress import told
from server.ignored import ignored_headers
from server.streams import Streams


class _NotHere(InferenceError):
    """What Ollama says where a model is to be copied."""

    status_hint: ClassVar[int] = HTTPStatus.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f'model "{name}" not found')


def read_create(fields: Fields) -> tuple[str, Recipe]:
    """Raises InvalidRequest."""
    name = read_name(fields)
    if not _is_name(name):
        raise InvalidRequest("invalid model name", field="model")
    messages = fields.objects("messages")
    given = fields.inner("parameters")
    recipe = Recipe(
        base=fields.text("from") or None,
        files=_digests(fields, "files"),
        sent_adapters=_digests(fields, "adapters"),
        parameters=given.raw() if given else {},
        template=fields.text("template"),
        system=fields.text("system"),
        messages=None if messages is None else tuple(_said(each) for each in messages),
        license=fields.texts("license") or None,
        quantize=fields.text("quantize") or fields.text("quantization") or "",
    )
    if recipe.base is None and not recipe.files:
        raise InvalidRequest("neither 'from' or 'files' was specified")
    return name, recipe


def add_routes(
    blueprint: Blueprint, streams: Streams, store: Store, hub: Puller, registry: Registry
) -> None:
    _add_create(blueprint, store)
    _add_copy(blueprint, store)
    _add_delete(blueprint, streams, store)
    _add_pull(blueprint, hub)
    _add_push(blueprint, registry)


def _add_create(blueprint: Blueprint, store: Store) -> None:
    @blueprint.post("/api/create")
    async def create() -> Response:
        fields = Fields(await read_json(request))
        name, recipe = read_create(fields)
        stream = fields.flag("stream") is not False
        ignored = settle(fields, CREATE)
        creation = await asyncio.to_thread(Creation, store, name, recipe)
        headers = ignored_headers((*ignored, *creation.ignored), request.headers)

        def work(tell: OnProgress, stop: Event) -> None:
            try:
                creation.run(tell)
            except LoadFailed as error:  # what was sent is no model
                raise InvalidRequest(str(error)) from None

        return await told(name, work, stream=stream, headers=headers)


def _add_copy(blueprint: Blueprint, store: Store) -> None:
    @blueprint.post("/api/copy")
    async def copy() -> Response:
        fields = Fields(await read_json(request))
        names = {each: fields.text(each) or "" for each in ("source", "destination")}
        for role, name in names.items():
            if not _is_name(name):
                raise InvalidRequest(f'{role} "{name}" is invalid', field=role)
        headers = ignored_headers(settle(fields, COPY), request.headers)
        try:
            await asyncio.to_thread(store.copy, names["source"], names["destination"])
        except ModelNotFound:
            raise _NotHere(names["source"]) from None
        return _done(headers)


def _add_delete(blueprint: Blueprint, streams: Streams, store: Store) -> None:
    @blueprint.delete("/api/delete")
    async def delete() -> Response:
        fields = Fields(await read_json(request))
        name = _name(fields)
        if not _is_name(name):
            raise InvalidRequest(f'name "{name}" is invalid', field="model")
        headers = ignored_headers(settle(fields, DELETE), request.headers)
        await asyncio.to_thread(store.remove, name)
        # Its memory is given back when it has nothing to do any more: nobody waits for that.
        running = await streams.open(UnloadRequest(model=name), Origin("api", "ollama"))
        running.detach()
        return _done(headers)


def _add_pull(blueprint: Blueprint, hub: Puller) -> None:
    @blueprint.post("/api/pull")
    async def pull() -> Response:
        fields = Fields(await read_json(request))
        name = model_at(read_name(fields))
        if not _is_name(name):
            raise InvalidRequest("invalid model name", field="model")
        stream = fields.flag("stream") is not False
        headers = ignored_headers(settle(fields, PULL), request.headers)

        def work(tell: OnProgress, stop: Event) -> None:
            with suppress(PullCancelled):  # nobody listens any more
                hub.pull(name, tell, stop)

        return await told(name, work, stream=stream, headers=headers)


def _add_push(blueprint: Blueprint, registry: Registry) -> None:
    @blueprint.post("/api/push")
    async def push() -> Response:
        fields = Fields(await read_json(request))
        name = _name(fields)
        insecure = bool(fields.flag("insecure"))
        stream = fields.flag("stream") is not False
        headers = ignored_headers(settle(fields, PUSH), request.headers)

        def work(tell: OnProgress, stop: Event) -> None:
            with suppress(PullCancelled):  # nobody listens any more
                registry.push(name, tell, stop, insecure=insecure)

        return await told(name, work, stream=stream, headers=headers)


def _name(fields: Fields) -> str:
    name = read_name(fields)
    if not name:
        raise InvalidRequest("model is required", field="model")
    return name


def _is_name(name: str) -> bool:
    try:
        ModelName.parse(name)
    except InvalidModelName:
        return False
    return True


def _digests(fields: Fields, name: str) -> dict[str, str]:
    inner = fields.inner(name)
    if inner is None:
        return {}
    return {each: inner.required_text(each) for each in inner.raw()}


def _said(message: Fields) -> Said:
    return said(message.required_text("role").lower(), message.required_text("content"))


def _done(headers: dict[str, str]) -> Response:
    """An answer without anything in it, as Ollama gives it."""
    response = Response(b"", headers=headers)
    del response.headers["Content-Type"]
    return response
