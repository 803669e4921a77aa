"""How the MLX engine picks a token: penalties on the logits, filters, and a draw.

The order is llama.cpp's, so that one request means the same in both engines:
penalties, top-k, top-p, min-p, then temperature. mlx_lm's own samplers filter in
another order and share one random state, so a seed would not repeat in a batch.

Nothing here imports mlx: whoever owns the GPU passes ``mlx.core`` in.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

from models.engine.sampling import Sampling

Array: TypeAlias = Any
"""An mlx.core.array."""

Sampler: TypeAlias = Callable[[Array], Array]
"""Log-probabilities (1, vocabulary) to a token (1,)."""

LogitsProcessor: TypeAlias = Callable[[Array, Array], Array]
"""The sequence's tokens so far, and its logits (1, vocabulary), to other logits."""

_UINT64 = (1 << 64) - 1


def make_sampler(mx: ModuleType, sampling: Sampling) -> Sampler | None:
    """Return a sampler with a key of its own; None for greedy.

    The batch that a sequence runs in cannot change what it draws. Its own sampler is
    a call for each row, so the greedy ones are left to share mlx_lm's.
    """
    if sampling.temperature <= 0:
        return None
    key = mx.random.key(sampling.seed & _UINT64)
    filters = sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0

    def draw(logprobs: Array) -> Array:
        nonlocal key
        key, now = mx.random.split(key)
        logprobs = logprobs.astype(mx.float32)
        if filters:
            logprobs = mx.where(logprobs < _lowest_kept(mx, logprobs, sampling), -mx.inf, logprobs)
        # Over the whole vocabulary and not over the few that are kept: there the noise
        # would belong to a rank, which rounding in another batch can change.
        return mx.random.categorical(logprobs / sampling.temperature, key=now)

    return draw


def _lowest_kept(mx: ModuleType, logprobs: Array, sampling: Sampling) -> Array:
    """Return the log-probability (1, 1) of the last token that the filters keep."""
    best = logprobs
    if 0 < sampling.top_k < logprobs.shape[-1]:
        best = mx.topk(logprobs, sampling.top_k, axis=-1)
    best = -mx.sort(-best, axis=-1)
    share = mx.softmax(best, axis=-1)
    before = mx.cumsum(share, axis=-1) - share
    # The best token always stays: ``before`` is 0 for it. At the far end it may round to
    # more than 1, which is not to cost a token where top_p is off.
    top_p = sampling.top_p if sampling.top_p < 1 else math.inf
    kept = (before <= top_p) & (share >= min(sampling.min_p, 1.0) * share[:, :1])
    return mx.min(mx.where(kept, best, mx.inf), axis=-1, keepdims=True)


def make_penalties(mx: ModuleType, sampling: Sampling) -> LogitsProcessor | None:
    """Return what the three penalties do to the logits; None where they do nothing.

    As in llama.cpp they look back on the prompt too, ``repeat_last_n`` below 0 looks
    back on everything, and 0 on nothing.
    """
    idle = (
        sampling.repeat_penalty == 1
        and sampling.presence_penalty == 0
        and sampling.frequency_penalty == 0
    )
    if idle or sampling.repeat_last_n == 0:
        return None

    def penalise(tokens: Array, logits: Array) -> Array:
        # Everything stays lazy: reading a token's value here would stall the whole batch.
        recent = tokens[-sampling.repeat_last_n :] if sampling.repeat_last_n > 0 else tokens
        counts = mx.zeros(logits.shape[-1], dtype=logits.dtype).at[recent].add(1)
        repeated = mx.where(
            logits <= 0, logits * sampling.repeat_penalty, logits / sampling.repeat_penalty
        )
        penalty = counts * sampling.frequency_penalty + sampling.presence_penalty
        return mx.where(counts > 0, repeated - penalty, logits)

    return penalise
