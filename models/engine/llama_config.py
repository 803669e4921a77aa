"""What a child is told of the model that it is to run: see ``llama_worker.py``."""

from collections.abc import Callable

from models import projectors
from models.drafts import Lookup
from models.engine.backend import LoadSpec
from models.engine.llama_client import JSON
from models.engine.llama_disk import LlamaDisk
from models.engine.llama_process import LlamaProcess, prefill_chunk_tokens
from models.model import Model
from models.worker import Command


def child_of(
    spec: LoadSpec, disk: LlamaDisk | None, on_change: Callable[[], None], command: Command
) -> LlamaProcess:
    """Start the child of a model."""
    name = str(spec.model.name)
    config = child_config(spec, disk)
    return LlamaProcess(config, model_name=name, on_change=on_change, command=command)


def child_config(spec: LoadSpec, disk: LlamaDisk | None) -> JSON:
    files = spec.model.files
    told = {
        "model": str(spec.model.path),
        "context_length": spec.context_length,
        "max_sequences": spec.max_sequences,
        "shared_tokens": spec.shared_tokens,
        "prompt_cache_bytes": spec.prompt_cache_bytes,
        "kv_type": spec.kv_type,
        "lookup": spec.drafts if isinstance(spec.drafts, Lookup) else "",
        "draft_model": str(spec.drafts.path) if isinstance(spec.drafts, Model) else "",
        "adapters": [[str(each.path), each.scale] for each in spec.adapters],
        "slot_folder": str(disk.folder) if disk else "",
        # Of a model that completes, the last token's vector: it costs its texts nothing.
        "pooling": spec.model.details.pooling or "last",
    }
    if files.projector:
        told["projector"] = str(files.folder / files.projector)
        usual = prefill_chunk_tokens()
        told["chunk_tokens"] = max(usual, projectors.read_at_once(spec.model))
    return told


def said_with_each(spec: LoadSpec) -> JSON:
    """Return what each request says."""
    said: JSON = {}
    if spec.drafts:  # how many were right is in the timings, with each token and not the last alone
        said["timings_per_token"] = True
    if spec.adapters:
        # Without it llama.cpp would go on from what it has read with other scales.
        scales = [each.scale for each in spec.adapters]
        said["lora"] = [{"id": place, "scale": scale} for place, scale in enumerate(scales)]
    return said
