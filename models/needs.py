"""How much memory a model needs: the one formula, and how a context and a batch are chosen."""

import platform
import sys
from dataclasses import dataclass

from models.engine.backend import LoadSpec
from models.engine.prepared import CONTEXT_STEP, rounded_up
from models.ledger import Need
from models.model import Kind, KvType, Model

_LONGEST_DEFAULT_CONTEXT = 32_768  # tokens, where nobody asks for another
_SHORTEST_DEFAULT_CONTEXT = 2_048
_MOST_SEQUENCES = 8  # beyond it a batch gains little on one computer (benchmarks/engine.py)
_MOST_PROMPT_CACHE_BYTES = 1 << 30
# Beyond a sliding window a chunk of prefill stands until the next token: 256 in both engines.
_CHUNK_TOKENS = 256
# Bytes of a block of 32 numbers, against the 64 that they take in 16 bit (ggml-common.h).
_KV_SHARES = {KvType.F16: 1.0, KvType.Q8_0: 34 / 64, KvType.Q4_0: 18 / 64}
# Measured beside weights and KV cache: 35 to 60 MB in a llama.cpp child, 110 to 214 MB at
# the peak of an MLX prefill by 256 tokens, and for large models activations that grow with
# their width, of which a tenth of the weights is an upper bound.
_WORKING_BYTES = 128 << 20
_WORKING_SHARE = 0.1
# Where the files do not tell what a token takes: a guess from models that do. A 7B model
# without grouped heads has 512 KiB a token and 13 GiB of weights; most have far less.
_USUAL_TOKENS = 25_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request, the model's profile and the settings would like."""

    asked_context: int | None = None  # tokens; None: the default
    default_context: int | None = None  # tokens; None: by model and memory
    kv_type: KvType = KvType.F16


@dataclass(frozen=True, slots=True)
class Cache:
    """What sequences of one model keep in memory: see ``models.cache_facts``."""

    token_bytes: int
    window_bytes: int = 0  # of a token, in layers that keep the last ``window_tokens``
    window_tokens: int = 0
    state_bytes: int = 0

    def of(self, tokens: int) -> int:
        """Return the bytes of one sequence of so many tokens."""
        windowed = min(tokens, self._most_windowed)
        return self.token_bytes * tokens + self.window_bytes * windowed + self.state_bytes

    def tokens_within(self, size_bytes: int) -> int:
        """Return the longest sequence that fits; a great number where length costs nothing."""
        window = self._most_windowed if self.window_bytes else 0
        short = (size_bytes - self.state_bytes) // max(1, self.token_bytes + self.window_bytes)
        if short <= window:
            return max(0, short)
        return (size_bytes - self.of(0) - self.window_bytes * window) // max(1, self.token_bytes)

    @property
    def _most_windowed(self) -> int:
        return rounded_up(self.window_tokens + _CHUNK_TOKENS)


def cache_of(model: Model, kv_type: KvType = KvType.F16) -> Cache:
    details = model.details
    share = _KV_SHARES[kv_type] * _kv_growth(model)
    if _is_guess(model):
        return Cache(max(1, int(model.size_bytes // _USUAL_TOKENS * share)))
    return Cache(
        int(details.kv_bytes_per_token * share),
        int(details.window_bytes_per_token * share),
        details.window_tokens,
        details.state_bytes,
    )


def least(model: Model, wish: Wish) -> LoadSpec:
    """Return the smallest way to load a model that would serve."""
    trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
    usual = min(wish.default_context or _SHORTEST_DEFAULT_CONTEXT, _SHORTEST_DEFAULT_CONTEXT)
    context = min(trained, wish.asked_context or usual)
    # llama.cpp rounds up by itself; the rest of us should know.
    context = min(trained, rounded_up(context))
    return _spec(model, wish.kv_type, context, 1, 0)


def roomiest(smallest: LoadSpec, wish: Wish, spare_bytes: int) -> LoadSpec:
    """Grow the context to the default and the batch to its most, within half of the rest."""
    model = smallest.model
    cache = cache_of(model, wish.kv_type)
    rest = max(0, spare_bytes - smallest.need.total_bytes)
    budget = rest // 2 + cache.of(smallest.context_length)
    context = smallest.context_length
    if wish.asked_context is None:
        trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
        most = min(trained, wish.default_context or _LONGEST_DEFAULT_CONTEXT)
        fits = cache.tokens_within(budget) // CONTEXT_STEP * CONTEXT_STEP
        context = min(most, max(context, fits))
    sequences = max(1, min(_MOST_SEQUENCES, budget // max(1, cache.of(context))))
    prompt_cache = 0
    if model.kind is Kind.LLAMA:  # as much again for prompts whose sequence has ended
        prompt_cache = min(cache.of(context) * sequences, rest // 4, _MOST_PROMPT_CACHE_BYTES)
    return _spec(model, wish.kv_type, context, sequences, prompt_cache)


def _spec(
    model: Model, kv_type: KvType, context: int, sequences: int, prompt_cache_bytes: int
) -> LoadSpec:
    weights = int(model.size_bytes * _growth(model))
    need = Need(
        weights_bytes=weights,
        cache_bytes=cache_of(model, kv_type).of(context) * sequences + prompt_cache_bytes,
        working_bytes=_WORKING_BYTES + int(weights * _WORKING_SHARE),
        mapped=model.kind is Kind.LLAMA,
        guessed=_is_guess(model),
    )
    return LoadSpec(
        model=model,
        context_length=context,
        max_sequences=sequences,
        need=need,
        prompt_cache_bytes=prompt_cache_bytes,
        kv_type=kv_type,
    )


def _is_guess(model: Model) -> bool:
    details = model.details
    return not (details.kv_bytes_per_token or details.window_bytes_per_token or details.state_bytes)


def _growth(model: Model) -> float:
    """On a CPU the MLX engine makes 16-bit weights 32-bit: see ``models.engine.mlx_load``."""
    return 2.0 if _on_cpu(model) and model.details.quantization in ("F16", "BF16") else 1.0


def _kv_growth(model: Model) -> float:
    """MLX keeps keys and values in the type in which it reckons."""
    wide = model.kind is Kind.MLX and model.details.quantization == "F32"
    return 2.0 if wide or _on_cpu(model) else 1.0


def _on_cpu(model: Model) -> bool:
    on_gpu = sys.platform == "darwin" and platform.machine() == "arm64"
    return model.kind is Kind.MLX and not on_gpu
