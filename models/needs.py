"""How much memory a model needs: the one formula, and how a context and a batch are chosen."""

import platform
import sys
from dataclasses import dataclass

from models.engine.backend import LoadSpec
from models.engine.prepared import CONTEXT_STEP, rounded_up
from models.ledger import Need
from models.model import Kind, Model

_LONGEST_DEFAULT_CONTEXT = 32_768  # tokens, where nobody asks for another
_SHORTEST_DEFAULT_CONTEXT = 2_048
_MOST_SEQUENCES = {Kind.LLAMA: 32, Kind.MLX: 8}  # see benchmarks/engine.py
# Of a KV cache that sequences share, in tokens: beyond it memory would lie idle.
_MOST_SHARED_TOKENS = 262_144
_LEAST_SHARE_TOKENS = 512  # of a sequence: with less there would be slots and no room
_MOST_PROMPT_CACHE_BYTES = 1 << 30
# Measured beside weights and KV cache: 35 to 60 MB in a llama.cpp child, 110 to 214 MB at
# the peak of an MLX prefill by 256 tokens, and for large models activations that grow with
# their width, of which a tenth of the weights is an upper bound.
_WORKING_BYTES = 128 << 20
_WORKING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request and the settings would like."""

    asked_context: int | None = None  # tokens; None: the default
    default_context: int | None = None  # tokens; None: by model and memory


def least(model: Model, wish: Wish) -> LoadSpec:
    """Return the smallest way to load a model that would serve."""
    trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
    context = min(trained, wish.asked_context or _SHORTEST_DEFAULT_CONTEXT)
    # llama.cpp rounds up by itself; the rest of us should know.
    context = min(trained, rounded_up(context))
    return _spec(model, context, 1, 0)


def roomiest(smallest: LoadSpec, wish: Wish, spare_bytes: int) -> LoadSpec:
    """Grow the context to the default and the batch to its most, within half of the rest."""
    model = smallest.model
    rest = max(0, spare_bytes - smallest.need.total_bytes)
    kv_bytes = _kv_bytes(model)
    budget = rest // 2 + kv_bytes * smallest.context_length
    context = smallest.context_length
    if wish.asked_context is None:
        trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
        most = min(trained, wish.default_context or _LONGEST_DEFAULT_CONTEXT)
        fits = budget // kv_bytes // CONTEXT_STEP * CONTEXT_STEP
        context = min(most, max(context, fits))
    sequences = max(1, min(_MOST_SEQUENCES[model.kind], budget // (context * kv_bytes)))
    if model.kind is Kind.MLX:
        return _spec(model, context, sequences, 0)
    shared = None
    if sequences < _MOST_SEQUENCES[model.kind]:
        fits = budget // kv_bytes // CONTEXT_STEP * CONTEXT_STEP
        shared = max(context, min(fits, _MOST_SHARED_TOKENS))
        sequences = max(1, min(_MOST_SEQUENCES[model.kind], shared // _LEAST_SHARE_TOKENS))
    # As much again for prompts whose sequence has ended.
    kept = kv_bytes * (shared or context * sequences)
    prompt_cache = min(kept, rest // 4, _MOST_PROMPT_CACHE_BYTES)
    return _spec(model, context, sequences, prompt_cache, shared)


def _spec(
    model: Model,
    context: int,
    sequences: int,
    prompt_cache_bytes: int,
    shared_tokens: int | None = None,
) -> LoadSpec:
    kv_bytes = _kv_bytes(model) * (shared_tokens or context * sequences)
    weights = int(model.size_bytes * _growth(model))
    need = Need(
        weights_bytes=weights,
        cache_bytes=kv_bytes + prompt_cache_bytes,
        working_bytes=_WORKING_BYTES + int(weights * _WORKING_SHARE),
        mapped=model.kind is Kind.LLAMA,
        guessed=not model.details.kv_bytes_per_token,
    )
    return LoadSpec(
        model=model,
        context_length=context,
        max_sequences=sequences,
        need=need,
        shared_tokens=shared_tokens,
        prompt_cache_bytes=prompt_cache_bytes,
    )


def _kv_bytes(model: Model) -> int:
    """Of one token. Where the files do not tell it: a guess from models that do.

    A 7B model without grouped heads has 512 KiB a token and 13 GiB of weights; most have
    far less.
    """
    return max(1, model.details.kv_bytes_per_token or model.size_bytes // 25_000)


def _growth(model: Model) -> float:
    """On a CPU the MLX engine makes 16-bit weights 32-bit: see ``models.engine.mlx_load``."""
    on_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    wide = model.kind is Kind.MLX and model.details.quantization in ("F16", "BF16")
    return 2.0 if wide and not on_gpu else 1.0
