"""What a child is told of the model that it is to run: see ``llama_worker.py``."""

from models.engine.backend import LoadSpec
from models.engine.llama_client import JSON
from models.engine.llama_disk import LlamaDisk


def child_config(spec: LoadSpec, disk: LlamaDisk | None) -> JSON:
    return {
        "model": str(spec.model.path),
        "context_length": spec.context_length,
        "max_sequences": spec.max_sequences,
        "shared_tokens": spec.shared_tokens,
        "prompt_cache_bytes": spec.prompt_cache_bytes,
        "kv_type": spec.kv_type,
        "adapters": [[str(each.path), each.scale] for each in spec.adapters],
        "slot_folder": str(disk.folder) if disk else "",
        # Of a model that completes, the last token's vector: it costs its texts nothing.
        "pooling": spec.model.details.pooling or "last",
    }
