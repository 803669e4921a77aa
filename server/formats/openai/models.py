"""The list of models: https://platform.openai.com/docs/api-reference/models"""

from collections.abc import Sequence

from quart import Blueprint, Response

from models.errors import ModelNotFound
from models.model import Model
from models.names import ModelName
from server.capabilities import capabilities
from server.fields import Json
from server.framing import JSON, reply
from server.shelf import Shelf


def model_body(model: Model, *, id: str) -> Json:
    return {
        "id": id,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": model.name.namespace or "library",
        # Ours; OpenAI's clients pass over them.
        "context_length": model.details.context_length,
        "capabilities": capabilities(model),
    }


def list_body(models: Sequence[Model]) -> Json:
    return {"object": "list", "data": [model_body(each, id=str(each.name)) for each in models]}


def add_routes(blueprint: Blueprint, shelf: Shelf) -> None:
    @blueprint.get("/v1/models")
    async def models() -> Response:
        return reply(list_body(await shelf.all()), JSON)

    @blueprint.get("/v1/models/<path:id>")  # a path: ids have a "/" in them
    async def model(id: str) -> Response:
        try:
            return reply(model_body(await shelf.find(id), id=id), JSON)
        except ModelNotFound:
            # On this path, and in /api/show, Ollama says the name in full.
            raise ModelNotFound(str(ModelName.parse(id))) from None
