"""The installed models in Anthropic's shape, a page at a time."""

from collections.abc import Sequence

from models.abilities import Ability, of
from models.errors import InvalidRequest
from models.model import Model
from server.clock import rfc3339
from server.fields import Json
from server.formats.anthropic.contract import EFFORTS, MOST_LISTED, THINKING, USUALLY_LISTED
from server.query import Query


def model_body(model: Model, *, id: str) -> Json:
    return {
        "type": "model",
        "id": id,
        "display_name": str(model.name),
        "created_at": rfc3339(model.modified_at),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": model.details.context_length,
        "max_tokens": model.details.context_length,
        "capabilities": _capabilities(model),
    }


def list_body(models: Sequence[Model], query: Query) -> Json:
    """Return the page that ``query`` asks for, the newest model first.

    Raises InvalidRequest.
    """
    limit = query.integer("limit", least=1, most=MOST_LISTED) or USUALLY_LISTED
    after, before = query.text("after_id"), query.text("before_id")
    if after and before:
        raise InvalidRequest('Give "after_id" or "before_id", not both.', field="before_id")
    lifecycles = query.texts("lifecycle")
    if lifecycles and "active" not in lifecycles:
        models = ()
    models = sorted(models, key=lambda each: (-each.modified_at.timestamp(), str(each.name)))
    names = [str(each.name) for each in models]
    if before:
        rest = models[: _place(names, "before_id", before)]
        page = rest[-limit:]
    else:
        rest = models[_place(names, "after_id", after) + 1 :] if after else models
        page = rest[:limit]
    data = [model_body(each, id=str(each.name)) for each in page]
    return {
        "data": data,
        "has_more": len(rest) > len(page),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _place(names: Sequence[str], field: str, name: str) -> int:
    if name not in names:
        raise InvalidRequest(f'"{field}" {name[:80]!r} is none of the models.', field=field)
    return names.index(name)


def _capabilities(model: Model) -> Json:
    able = of(model)
    thinks = _supported(Ability.THINKING in able)
    # All that this wire takes of every model, although one that cannot think passes over it.
    ways = {kind: thinks if kind != "disabled" else _supported(True) for kind in THINKING}
    never = _supported(False)
    return {
        "batch": never,
        "citations": never,
        "code_execution": never,
        "context_management": never,
        "effort": thinks | dict.fromkeys(EFFORTS, thinks),
        "image_input": _supported(Ability.VISION in able),
        "pdf_input": never,
        "server_tools": never | {"code_execution": never, "web_search": never},
        "structured_outputs": _supported(Ability.GRAMMAR in able),
        "thinking": thinks | {"types": ways},
    }


def _supported(supported: bool) -> Json:
    return {"supported": supported}
