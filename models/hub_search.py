"""The search on the hub for models that run here."""

from dataclasses import dataclass
from typing import Any, cast

from models import hub_session
from models.engine.installed import has_mlx
from models.model import Kind

_HUB_LIBRARIES = {Kind.LLAMA: "gguf", Kind.MLX: "mlx"}
# Bytes a number, by the names that safetensors has for types.
_TYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "U16": 2}


@dataclass(frozen=True, slots=True)
class HubModel:
    repo: str  # "org/model"
    kind: Kind
    downloads: int
    likes: int
    size_bytes: int | None  # None: it depends on the quantisation, or is not told


def search(endpoint: str | None, query: str, limit: int) -> list[HubModel]:
    """Return models whose names have ``query`` in them, most downloaded first.

    Raises whatever the client does: see ``hub_errors.told``.
    """
    kinds = [Kind.LLAMA, Kind.MLX] if has_mlx() else [Kind.LLAMA]
    found: dict[str, HubModel] = {}
    for kind in kinds:
        for model in _search(endpoint, query, kind, limit):
            found.setdefault(model.repo, model)
    return sorted(found.values(), key=lambda model: -model.downloads)[:limit]


def _search(endpoint: str | None, query: str, kind: Kind, limit: int) -> list[HubModel]:
    # Not HfApi.list_models: without a network it tries again for 23 seconds.
    from huggingface_hub.utils import hf_raise_for_status  # noqa: PLC0415

    response = hub_session.client().get(
        f"{hub_session.api(endpoint).endpoint}/api/models",
        params={
            "search": query,
            "filter": _HUB_LIBRARIES[kind],
            "sort": "downloads",
            "limit": limit,
            "expand": ["downloads", "likes", "safetensors"],
        },
        headers=hub_session.headers(),
        timeout=hub_session.ASK_SECONDS,
    )
    hf_raise_for_status(response)
    found = cast("list[dict[str, Any]]", response.json())
    return [
        HubModel(
            repo=str(entry["id"]),
            kind=kind,
            downloads=int(entry.get("downloads") or 0),
            likes=int(entry.get("likes") or 0),
            size_bytes=_weight_bytes(entry) if kind is Kind.MLX else None,
        )
        for entry in found
    ]


def _weight_bytes(entry: dict[str, Any]) -> int | None:
    facts = cast("dict[str, Any]", entry.get("safetensors") or {})
    counts = cast("dict[str, int]", facts.get("parameters") or {})
    return sum(count * _TYPE_BYTES.get(kind, 1) for kind, count in counts.items()) or None
