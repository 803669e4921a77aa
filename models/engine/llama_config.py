"""What the child process of a GGUF model is told of how to load it, and with each request."""

from pathlib import Path
from typing import Any

from models.engine.backend import LoadSpec
from models.engine.llama_client import JSON


def config_of(spec: LoadSpec, slot_folder: Path | None) -> dict[str, Any]:
    """See ``llama_worker.py``."""
    return {
        "model": str(spec.model.path),
        "context_length": spec.context_length,
        "max_sequences": spec.max_sequences,
        "shared_tokens": spec.shared_tokens,
        "prompt_cache_bytes": spec.prompt_cache_bytes,
        "kv_type": spec.kv_type,
        "adapters": [[str(each.path), each.scale] for each in spec.adapters],
        "slot_folder": str(slot_folder) if slot_folder else "",
        # Of a model that completes, the last token's vector: it costs its texts nothing.
        "pooling": spec.model.details.pooling or "last",
    }


def said_with_each(spec: LoadSpec) -> JSON:
    """Without its adapters llama.cpp would go on from what it has read with other scales."""
    if not spec.adapters:
        return {}
    scales = [each.scale for each in spec.adapters]
    return {"lora": [{"id": place, "scale": scale} for place, scale in enumerate(scales)]}
