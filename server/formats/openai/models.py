"""The list of models: https://platform.openai.com/docs/api-reference/models"""

from collections.abc import Sequence

from quart import Blueprint, Response, request

from models.engine.backend import key_of
from models.errors import ModelNotFound
from models.model import Model
from models.names import ModelName
from models.resident import Resident
from server.capabilities import capabilities
from server.fields import Json
from server.framing import JSON, reply
from server.query import Query
from server.shelf import Shelf
from server.streams import Engines


def model_body(model: Model, *, id: str, resident: Resident | None) -> Json:
    """``resident``: as it is in memory; None: it is not."""
    return {
        "id": id,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": model.name.namespace or "library",
        # Ours; OpenAI's clients pass over them.
        "context_length": model.details.context_length,
        "capabilities": capabilities(model),
        "state": _state(resident),
        **({"loaded_context_length": resident.context_length} if resident else {}),
    }


def list_body(models: Sequence[Model], residents: Sequence[Resident] = ()) -> Json:
    data = [
        model_body(each, id=str(each.name), resident=_resident(each, residents)) for each in models
    ]
    return {"object": "list", "data": data}


def _resident(model: Model, residents: Sequence[Resident]) -> Resident | None:
    # It may be loaded by another of its names.
    return next((each for each in residents if key_of(each.model) == key_of(model)), None)


def _state(resident: Resident | None) -> str:
    """In LM Studio's words."""
    if resident is None:
        return "not-loaded"
    return "loading" if resident.loading else "loaded"


def add_routes(blueprint: Blueprint, engines: Engines, shelf: Shelf) -> None:
    @blueprint.get("/v1/models")
    async def models() -> Response:
        said = Query(request.args).ignored_headers(request.headers)
        return reply(list_body(await shelf.all(), engines.residents()), JSON, headers=said)

    @blueprint.get("/v1/models/<path:id>")  # a path: ids have a "/" in them
    async def model(id: str) -> Response:
        try:
            found = await shelf.find(id)
        except ModelNotFound:
            # On this path, and in /api/show, Ollama says the name in full.
            raise ModelNotFound(str(ModelName.parse(id))) from None
        resident = _resident(found, engines.residents())
        return reply(model_body(found, id=id, resident=resident), JSON)
