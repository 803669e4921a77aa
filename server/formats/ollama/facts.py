"""Ollama's facts: that it runs, which models there are, and which are loaded."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from quart import Blueprint, Response

from models.counts import human_count
from models.model import Kind, Model
from models.resident import Doing
from server.capabilities import capabilities
from server.clock import rfc3339
from server.fields import Json
from server.framing import NATIVE_JSON, reply
from server.shelf import Shelf
from server.streams import Engines

# Copilot takes nothing but three numbers, and clients look for what this version can do.
OLLAMA_VERSION = "0.33.0"

_FORMATS = {Kind.LLAMA: "gguf", Kind.MLX: "safetensors"}
FOR_EVER = timedelta(days=292 * 365)  # as far as Go's clock goes; `ollama ps` says "Forever"


def tags_body(models: Sequence[Model]) -> Json:
    return {"models": [_tag(model) for model in models]}


def ps_body(engines: Engines) -> Json:
    """The models in memory, the one that stays longest first."""
    residents = engines.residents()
    for_ever = datetime.now(UTC) + FOR_EVER
    ends = {each.model.name: each.expires_at or for_ever for each in residents}
    # Only a Mac's models are in the memory of a GPU.
    on_gpu = sys.platform == "darwin"
    return {
        "models": [
            {
                "name": str(each.model.name),
                "model": str(each.model.name),
                "size": each.size_bytes,
                "digest": each.model.digest,
                "details": details_of(each.model),
                "expires_at": rfc3339(ends[each.model.name]),
                "size_vram": each.size_bytes if on_gpu else 0,
                "context_length": each.context_length,
                # Ours; Ollama's clients pass over them.
                "engine": each.model.kind.value,
                "loading": each.loading,
                "loaded_share": round(each.loaded_share, 3),
                "in_flight": each.running,
                "queued": each.queued,
                "tokens_per_second": round(each.doing.tokens_per_second, 1),
                "last_step_seconds": _age(each.doing),
                "prompt_tokens": each.doing.prompt_tokens,
                "cached_tokens": each.doing.cached_tokens,
                "prompt_cache": {
                    "size": each.counters.prompt_cache_bytes,
                    "hits": each.counters.prompt_cache_hits,
                    "misses": each.counters.prompt_cache_misses,
                },
                "drafts": {
                    "by": each.drafts,
                    "given_up": each.drafts_lost,
                    "drafted": each.counters.drafted_tokens,
                    "accepted": each.counters.accepted_tokens,
                },
            }
            for each in sorted(residents, key=lambda each: ends[each.model.name], reverse=True)
        ]
    }


def _age(doing: Doing) -> float | None:
    """Return how long ago its last step was; None where it has nothing to do."""
    return round(doing.silent_seconds, 1) if doing.stepping else None


def _tag(model: Model) -> Json:
    details = model.details
    lengths = {
        "context_length": details.context_length,
        "embedding_length": details.embedding_length,
    }
    return {
        "name": str(model.name),
        "model": str(model.name),
        "modified_at": rfc3339(model.modified_at),
        "size": model.size_bytes,
        "digest": model.digest,
        "details": details_of(model) | lengths,
        "capabilities": capabilities(model),
    }


def details_of(model: Model) -> Json:
    return {
        "parent_model": "",
        "format": _FORMATS[model.kind],
        "family": model.details.architecture,
        "families": [model.details.architecture],
        "parameter_size": human_count(model.details.parameter_count),
        "quantization_level": model.details.quantization,
    }


def add_routes(blueprint: Blueprint, engines: Engines, shelf: Shelf) -> None:
    @blueprint.get("/")
    async def root() -> Response:
        return Response("Ollama is running", content_type="text/plain; charset=utf-8")

    @blueprint.get("/api/version")
    async def version() -> Response:
        return reply({"version": OLLAMA_VERSION}, NATIVE_JSON)

    @blueprint.get("/api/tags")
    async def tags() -> Response:
        return reply(tags_body(await shelf.all()), NATIVE_JSON)

    @blueprint.get("/api/ps")
    async def ps() -> Response:
        return reply(ps_body(engines), NATIVE_JSON)
