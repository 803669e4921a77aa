"""The models as the router of llama.cpp's server shows them, and what one is like."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.abilities import Ability, of
from models.chat import LoadRequest, UnloadRequest
from models.events import Event
from models.model import Model
from models.reply import Reply
from models.resident import Resident
from models.version import own_version
from server.answer import Asked, End
from server.contract import settle
from server.fields import Fields, Json
from server.formats.llama_server.contract import LOAD, UNLOAD
from server.framing import Chunk
from server.keep_alive import read_keep_alive
from server.sampling import read_limit


def list_body(models: Sequence[Model], residents: Sequence[Resident]) -> Json:
    """One model may have several names: it is loaded under all of them."""
    loaded = {(each.model.kind, each.model.digest): each for each in residents}
    return {
        "object": "list",
        "data": [_entry(each, loaded.get((each.kind, each.digest))) for each in models],
    }


def _entry(model: Model, resident: Resident | None) -> Json:
    details = model.details
    meta: Json = {
        "n_ctx_train": details.context_length,
        "n_embd": details.embedding_length,
        "n_params": details.parameter_count,
        "size": model.size_bytes,
    }
    if resident:
        meta["n_ctx"] = resident.context_length
    return {
        "id": str(model.name),
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": model.name.namespace or "library",
        "status": _status(resident),
        "architecture": {
            "input_modalities": ["text", *(["image"] if Ability.VISION in of(model) else [])],
            "output_modalities": ["text"],
        },
        "meta": meta,
    }


def _status(resident: Resident | None) -> Json:
    if resident is None:
        return {"value": "unloaded"}
    if not resident.loading:
        return {"value": "loaded"}
    share = round(resident.loaded_share, 3)
    stages = {"stages": ["text_model"], "current": "text_model", "value": share}
    return {"value": "loading", "progress": stages}


def props_body(model: Model, resident: Resident | None, template: str) -> Json:
    length = resident.context_length if resident else model.details.context_length
    return {
        "default_generation_settings": {"n_ctx": length, "params": dict(model.profile.sampling)},
        # Where it is not loaded, nobody has chosen how many.
        "total_slots": 1,
        "model_alias": str(model.name),
        "model_path": str(model.name),  # where it lies is nobody's business
        "chat_template": template,
        "modalities": {"vision": Ability.VISION in of(model), "audio": False},
        "build_info": f"inglenook-{own_version()}",
        "is_sleeping": resident is None,
    }


def router_body() -> Json:
    """What is said where no model is named and none is loaded, as by llama.cpp's router."""
    return {
        "role": "router",
        "models_autoload": True,
        "model_alias": "",
        "model_path": "none",
        "default_generation_settings": {"n_ctx": 0, "params": None},
        "build_info": f"inglenook-{own_version()}",
    }


def parse_load(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    request = LoadRequest(
        model=fields.required_text("model"),
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        keep_alive_seconds=read_keep_alive(fields),
    )
    ignored = settle(fields, LOAD)
    return Asked(request=request, stream=False, encoder=_Done(), ignored=ignored)


def parse_unload(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    request = UnloadRequest(model=fields.required_text("model"))
    ignored = settle(fields, UNLOAD)
    return Asked(request=request, stream=False, encoder=_Done(), ignored=ignored)


@dataclass(frozen=True, slots=True)
class _Done:
    """An ``Encoder``."""

    def encode(self, event: Event) -> Iterable[Chunk]:
        return ()

    def whole(self, reply: Reply, end: End) -> Json:
        return {"success": True}
