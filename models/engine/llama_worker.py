"""The child process that runs one GGUF model: llama.cpp's server behind a pipe.

Run by path and not as a module, with nothing of ours imported: it must start fast,
and it is alone in importing xllamacpp. The parent writes one line of JSON on stdin,

    {"model": PATH, "context_length": N, "max_sequences": N, "prompt_cache_bytes": N,
     "chunk_tokens": N, "pooling": "" | "mean" | "cls" | "last" | "rank", "threads": N,
     "key": SECRET}

in which may also be "shared_tokens" (N: the KV cache that all sequences share; without it each
has its own), "projector" (PATH: what reads pictures for it), "kv_type" (as llama.cpp calls it:
q8_0), "adapters" ([[PATH, SCALE]…]), "draft_model" (PATH) or "lookup" (how drafts are looked
up: ngram-mod), and "slot_folder" (PATH: where slots are saved and restored). It gets one line
of JSON on stdout, ``{"port": N}`` or ``{"error": TEXT}``; llama.cpp's own messages go to stderr.
The model is then spoken to over HTTP on that loopback port, with the key. When stdin ends,
because the parent closed it or died, so does this process.
"""

# xllamacpp has no type stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportAttributeAccessIssue=false

import json
import os
import sys
from types import ModuleType
from typing import Any

_LONGEST_FOUND = 15  # tokens: 64, as llama.cpp would have it, were no faster


def main() -> None:
    # llama.cpp may print on stdout: keep the real one for ourselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.readline())
    try:
        import xllamacpp  # noqa: PLC0415  # may be missing a system library: told below

        params = xllamacpp.CommonParams()
        params.verbosity = 2  # errors and warnings: the parent keeps the last of them
        params.model.path = config["model"]
        _set_cache(params, config)
        params.ctx_shift = False
        params.fit_params = False  # the parent has planned what fits
        # A prompt is read in pieces: between them the others' tokens go on, and a cancel counts.
        params.n_batch = params.n_ubatch = config["chunk_tokens"]
        kv_type = config.get("kv_type", "f16")
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type[
            f"GGML_TYPE_{kv_type.upper()}"
        ]
        params.lora_adapters = [
            xllamacpp.CommonAdapterLoraInfo(path, scale)
            for path, scale in config.get("adapters", ())
        ]
        _set_drafts(params, xllamacpp, config)
        if projector := config.get("projector"):
            params.mmproj.path = projector
            # One picture or tile at a time goes through the tower: others go on between, and no
            # more memory is planned for.
            params.mtmd_batch_max_tokens = 1
        if pooling := config.get("pooling"):
            _embed(params, xllamacpp, pooling, config["context_length"])
        params.warmup = False  # a first token late is better than every load late
        params.cpuparams.n_threads = config["threads"]
        params.cpuparams_batch.n_threads = config["threads"]
        _set_endpoints(params, config["key"], config.get("slot_folder"))
        # The parent renders the prompts. The model's own template would be tried out at load,
        # and one that does not end would keep it from ever being ready.
        params.use_jinja = False
        params.chat_template = "chatml"
        server = xllamacpp.Server(params)
        answer = {"port": int(server.listening_address.rsplit(":", 1)[1])}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    if "port" in answer:
        sys.stdin.read()
    # Not an orderly end: that would wait for requests that still run.
    os._exit(0)


def _set_cache(params: Any, config: dict[str, Any]) -> None:  # noqa: ANN401 - no stubs
    params.n_parallel = config["max_sequences"]
    shared = config.get("shared_tokens")
    params.n_ctx = shared or config["context_length"] * config["max_sequences"]
    # A shared KV cache that fills up fails all sequences: the parent sees to it.
    params.kv_unified = bool(shared)
    params.kv_unified_per_slot = config["context_length"]
    # In a shared one, what has ended makes room at each start; it is found in memory.
    params.cache_idle_slots = bool(shared)
    # Finished prompts are kept in memory: 8 GiB of it unless told otherwise. With 0 they
    # would not make room in a shared KV cache.
    params.cache_ram_mib = max(1 if shared else 0, config["prompt_cache_bytes"] >> 20)
    # Of sliding windows and recurrent states, for each sequence: 32 unless told otherwise.
    params.n_ctx_checkpoints = 4


def _set_drafts(params: Any, xllamacpp: ModuleType, config: dict[str, Any]) -> None:  # noqa: ANN401 - no stubs
    # llama.cpp aborts where the drafts of all sequences do not go into one pass.
    longest = params.n_batch // params.n_parallel - 1
    if path := config.get("draft_model"):
        kind, draft = "draft-simple", params.speculative.draft
        draft.mparams.path = path
        draft.n_max = min(draft.n_max, longest)
        draft.cpuparams.n_threads = draft.cpuparams_batch.n_threads = config["threads"]
    elif kind := config.get("lookup"):
        found = params.speculative.ngram_mod
        found.n_max = min(_LONGEST_FOUND, longest)
        found.n_min = found.n_max // 2  # shorter ones are left
    else:
        return
    name = f"COMMON_SPECULATIVE_TYPE_{kind.upper().replace('-', '_')}"
    params.speculative.types = [xllamacpp.common_speculative_type[name]]


def _set_endpoints(params: Any, key: str, slot_folder: str | None) -> None:  # noqa: ANN401 - no stubs
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.endpoint_props = False
    params.endpoint_slots = True  # which are busy, and nothing of what is in them
    if slot_folder:  # llama.cpp puts a file's name behind it as it is
        params.slot_save_path = os.path.join(slot_folder, "")


def _embed(params: object, xllamacpp: ModuleType, pooling: str, context_length: int) -> None:
    """Have it make embeddings too."""
    params.embedding = True
    # enum llama_pooling_type; what the file says is not enough for "rank".
    number = ("none", "mean", "cls", "last", "rank").index(pooling)
    params.pooling_type = xllamacpp.llama_pooling_type(number)
    if pooling != "last":  # all of a text goes through the model at once
        params.n_batch = params.n_ubatch = context_length


if __name__ == "__main__":
    main()
