"""How much memory a model needs: the one formula, and how a context and a batch are chosen."""

import platform
import sys
from dataclasses import dataclass

from models import pooling
from models.engine.backend import LoadSpec
from models.engine.prepared import CONTEXT_STEP, rounded_up
from models.ledger import Need
from models.model import Kind, Model

_LONGEST_DEFAULT_CONTEXT = 32_768  # tokens, where nobody asks for another
_LONGEST_WHOLE_TEXT = 8_192  # tokens, likewise, for what reads a text at once
_SHORTEST_DEFAULT_CONTEXT = 2_048
_MOST_SEQUENCES = 8  # beyond it a batch gains little on one computer (benchmarks/engine.py)
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
        most = min(trained, wish.default_context or _longest(model))
        fits = budget // kv_bytes // CONTEXT_STEP * CONTEXT_STEP
        context = min(most, max(context, fits))
    sequences = max(1, min(_MOST_SEQUENCES, budget // (context * kv_bytes)))
    prompt_cache = 0
    if model.kind is Kind.LLAMA:  # as much again for prompts whose sequence has ended
        prompt_cache = min(kv_bytes * context * sequences, rest // 4, _MOST_PROMPT_CACHE_BYTES)
    return _spec(model, context, sequences, prompt_cache)


def _spec(model: Model, context: int, sequences: int, prompt_cache_bytes: int) -> LoadSpec:
    kv_bytes = _kv_bytes(model) * context * sequences
    weights = int(model.size_bytes * _growth(model))
    need = Need(
        weights_bytes=weights,
        cache_bytes=kv_bytes + prompt_cache_bytes,
        working_bytes=_WORKING_BYTES + int(weights * _WORKING_SHARE) + _attention(model, context),
        mapped=model.kind is Kind.LLAMA,
        guessed=not model.details.kv_bytes_per_token,
    )
    return LoadSpec(
        model=model,
        context_length=context,
        max_sequences=sequences,
        need=need,
        prompt_cache_bytes=prompt_cache_bytes,
    )


def _longest(model: Model) -> int:
    whole = pooling.reads_whole(model.details.pooling)
    return _LONGEST_WHOLE_TEXT if whole else _LONGEST_DEFAULT_CONTEXT


def _attention(model: Model, context: int) -> int:
    """Of a text that is read as a whole: every token's mask for every other, and some more.

    Measured: 14 MB for 512 tokens, 56 MB for 2,048 and 314 MB for 8,192.
    """
    return 6 * context**2 if pooling.reads_whole(model.details.pooling) else 0


def _kv_bytes(model: Model) -> int:
    """Of one token. Where the files do not tell it: a guess from models that do.

    A 7B model without grouped heads has 512 KiB a token and 13 GiB of weights; most have
    far less.
    """
    if pooling.reads_whole(model.details.pooling):
        return 1  # it keeps nothing
    return max(1, model.details.kv_bytes_per_token or model.size_bytes // 25_000)


def _growth(model: Model) -> float:
    """On a CPU the MLX engine makes 16-bit weights 32-bit: see ``models.engine.mlx_load``."""
    on_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    wide = model.kind is Kind.MLX and model.details.quantization in ("F16", "BF16")
    return 2.0 if wide and not on_gpu else 1.0
