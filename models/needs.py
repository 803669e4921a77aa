"""How much memory a model needs: the one formula, and how a context and a batch are chosen."""

import platform
import sys
from dataclasses import dataclass, replace

from models import abilities, adapters, pooling
from models.abilities import Ability
from models.drafts import Drafts, Lookup
from models.engine.backend import LoadSpec
from models.engine.prepared import CONTEXT_STEP, rounded_up
from models.ledger import Need
from models.model import Kind, KvType, Model

_LONGEST_DEFAULT_CONTEXT = 32_768  # tokens, where nobody asks for another
_LONGEST_WHOLE_TEXT = 8_192  # tokens, likewise, for what reads a text at once
_SHORTEST_DEFAULT_CONTEXT = 2_048
_MOST_SEQUENCES = 32  # see benchmarks/engine.py
# Contexts' worth of room for them: they are let in by their length, and few are as long.
_MOST_WHOLE_SEQUENCES = 8
# The drafts of all go into one pass of 128 tokens, and are worth making where they are long.
_MOST_DRAFTING_SEQUENCES = 8
# llama.cpp is faster where each has cells of its own, and takes the memory for them at its load.
_MOST_OWN_CELLS_BYTES = 256 << 20
# Of a KV cache that sequences share, in tokens: beyond it memory would lie idle.
_MOST_SHARED_TOKENS = 262_144
_LEAST_SHARE_TOKENS = 512  # of a sequence: with less there would be slots and no room
# Each agent of a few tens of thousands of tokens takes gigabytes in MLX's 16 bits.
_MOST_PROMPT_CACHE_BYTES = {Kind.LLAMA: 1 << 30, Kind.MLX: 8 << 30}
# Beyond a sliding window a chunk of prefill stands until the next token: 256 in both engines.
_CHUNK_TOKENS = 256
# Bytes of a block of 32 numbers, against the 64 that they take in 16 bit (ggml-common.h).
_KV_SHARES = {KvType.F16: 1.0, KvType.Q8_0: 34 / 64, KvType.Q4_0: 18 / 64}
# Measured beside weights and KV cache: 35 to 60 MB in a llama.cpp child, 110 to 214 MB at
# the peak of an MLX prefill by 256 tokens, and for large models activations that grow with
# their width, of which a tenth of the weights is an upper bound.
_WORKING_BYTES = 128 << 20
_WORKING_SHARE = 0.1
# Of the texts in which drafts are looked up: 16 MB at first, and up to 57.
_LOOKUP_BYTES = 64 << 20
# On MLX: what towers made of the last pictures, some dozen of a thousand tokens, and their work
# on one. A child of llama.cpp keeps no such thing.
_FEATURES_BYTES = 128 << 20
_TOWER_BYTES = 256 << 20
# Where the files do not tell what a token takes: a guess from models that do. A 7B model
# without grouped heads has 512 KiB a token and 13 GiB of weights; most have far less.
_USUAL_TOKENS = 25_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request, the model's profile and the settings would like."""

    asked_context: int | None = None  # tokens; None: the default
    default_context: int | None = None  # tokens; None: by model and memory
    kv_type: KvType = KvType.F16
    drafts: Drafts | None = None


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

    def of_shared(self, tokens: int, sequences: int) -> int:
        """Return the bytes of so many sequences that have so many tokens together."""
        windowed = min(tokens, self._most_windowed * sequences)
        states = self.state_bytes * sequences
        return self.token_bytes * tokens + self.window_bytes * windowed + states

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


def _cache(model: Model, wish: Wish) -> Cache:
    """Return what sequences of a model keep, with those of its draft model: it reads each of
    their tokens too, in 16 bits, and a window of its own is not counted as one."""
    cache = cache_of(model, wish.kv_type)
    if not isinstance(wish.drafts, Model):
        return cache
    more = cache_of(wish.drafts)
    return replace(
        cache,
        token_bytes=cache.token_bytes + more.token_bytes + more.window_bytes,
        state_bytes=cache.state_bytes + more.state_bytes,
    )


def least(model: Model, wish: Wish) -> LoadSpec:
    """Return the smallest way to load a model that would serve."""
    trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
    usual = min(wish.default_context or _SHORTEST_DEFAULT_CONTEXT, _SHORTEST_DEFAULT_CONTEXT)
    context = min(trained, wish.asked_context or usual)
    # llama.cpp rounds up by itself; the rest of us should know.
    context = min(trained, rounded_up(context))
    return _spec(model, wish, context, 1, 0)


def roomiest(smallest: LoadSpec, wish: Wish, spare_bytes: int) -> LoadSpec:
    """Grow the context to the default and the batch to its most, within half of the rest."""
    model = smallest.model
    cache = _cache(model, wish)
    rest = max(0, spare_bytes - smallest.need.total_bytes)
    budget = rest // 2 + cache.of(smallest.context_length)
    context = smallest.context_length
    if wish.asked_context is None:
        trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
        longest = min(trained, wish.default_context or _longest(model))
        fits = cache.tokens_within(budget) // CONTEXT_STEP * CONTEXT_STEP
        context = min(longest, max(context, fits))
    # Of prompts whose sequence has ended, as much again is kept.
    most = min(rest // 4, _MOST_PROMPT_CACHE_BYTES[model.kind])
    fitting = max(1, budget // max(1, cache.of(context)))
    if model.kind is Kind.MLX:
        whole = min(_MOST_WHOLE_SEQUENCES, fitting)
        kept = min(cache.of(context) * whole, most)
        return _spec(model, wish, context, whole, kept)
    most_sequences = _MOST_DRAFTING_SEQUENCES if wish.drafts else _MOST_SEQUENCES
    own = cache.of(context) * most_sequences
    if own <= min(budget, _MOST_OWN_CELLS_BYTES):
        kept = min(own, most)
        return _spec(model, wish, context, most_sequences, kept)
    fits = cache.tokens_within(budget) // CONTEXT_STEP * CONTEXT_STEP
    shared = max(context, min(fits, _MOST_WHOLE_SEQUENCES * context, _MOST_SHARED_TOKENS))
    sequences = max(1, min(most_sequences, shared // _LEAST_SHARE_TOKENS))
    while sequences > 1 and cache.of_shared(shared, sequences) > budget:
        sequences //= 2
    kept = min(cache.of_shared(shared, sequences), most)
    return _spec(model, wish, context, sequences, kept, shared)


def _spec(
    model: Model,
    wish: Wish,
    context: int,
    sequences: int,
    prompt_cache_bytes: int,
    shared_tokens: int | None = None,
) -> LoadSpec:
    cache = _cache(model, wish)
    sequences_bytes = cache.of(context) * sequences
    if shared_tokens is not None:
        sequences_bytes = cache.of_shared(shared_tokens, sequences)
    put_on = model.profile.adapters
    weights = int(model.size_bytes * _growth(model)) + adapters.bytes_of(put_on, model.kind)
    if isinstance(wish.drafts, Model):
        weights += wish.drafts.size_bytes
    working = _WORKING_BYTES + int(weights * _WORKING_SHARE) + _attention(model, context)
    sees = model.kind is Kind.MLX and Ability.VISION in abilities.of(model)
    features = _FEATURES_BYTES if sees else 0
    working += features + _TOWER_BYTES if sees else model.details.picture_bytes
    need = Need(
        weights_bytes=weights,
        cache_bytes=sequences_bytes + prompt_cache_bytes,
        working_bytes=working + (_LOOKUP_BYTES if isinstance(wish.drafts, Lookup) else 0),
        mapped=model.kind is Kind.LLAMA,
        guessed=_is_guess(model),
    )
    return LoadSpec(
        model=model,
        context_length=context,
        max_sequences=_MOST_SEQUENCES if model.kind is Kind.MLX else sequences,
        need=need,
        shared_tokens=shared_tokens,
        prompt_cache_bytes=prompt_cache_bytes,
        kv_type=wish.kv_type,
        adapters=put_on,
        drafts=wish.drafts,
        features_bytes=features,
    )


def _is_guess(model: Model) -> bool:
    details = model.details
    if pooling.reads_whole(details.pooling):
        return False
    return not (details.kv_bytes_per_token or details.window_bytes_per_token or details.state_bytes)


def _longest(model: Model) -> int:
    whole = pooling.reads_whole(model.details.pooling)
    return _LONGEST_WHOLE_TEXT if whole else _LONGEST_DEFAULT_CONTEXT


def _attention(model: Model, context: int) -> int:
    """Of a text that is read as a whole: every token's mask for every other, and some more.

    Measured: 14 MB for 512 tokens, 56 MB for 2,048 and 314 MB for 8,192.
    """
    return 6 * context**2 if pooling.reads_whole(model.details.pooling) else 0


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
