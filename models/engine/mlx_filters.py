"""What leaves a token out of a draw: top_k, typical_p, top_p, min_p and XTC, as in llama.cpp.

Each of them keeps a range of the log-probabilities, so all of them together do: there is no
need to carry token numbers along, and nothing is read from the GPU.
"""

import math
from types import ModuleType
from typing import Any

from models.engine.sampling import Sampling

Array = Any  # an mlx.core.array

_MOST_XTC_THRESHOLD = 0.5  # above it there are never two likely tokens


def has_filters(sampling: Sampling) -> bool:
    return (
        sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0 or changes_the_best(sampling)
    )


def changes_the_best(sampling: Sampling) -> bool:
    """Whether the likeliest token may be left out: then a greedy draw is not the best one."""
    return sampling.typical_p < 1 or has_xtc(sampling)


def has_xtc(sampling: Sampling) -> bool:
    return sampling.xtc_probability > 0 and sampling.xtc_threshold <= _MOST_XTC_THRESHOLD


def keep(mx: ModuleType, logprobs: Array, sampling: Sampling, chance: Array | None) -> Array:
    """Return the log-probabilities (1, vocabulary) with -inf for what is left out.

    Args:
        chance: uniform in [0, 1), for XTC; None without it.
    """
    best = logprobs
    if 0 < sampling.top_k < logprobs.shape[-1]:
        best = mx.topk(logprobs, sampling.top_k, axis=-1)
    best = -mx.sort(-best, axis=-1)
    if sampling.typical_p < 1:
        best = _typical(mx, best, sampling.typical_p)
    if sampling.top_p < 1:
        best = _likeliest(mx, best, sampling.top_p)
    if sampling.min_p > 0:
        # In logarithms, as llama.cpp has it: a share of 0 would drop nothing.
        least = mx.max(best, axis=-1, keepdims=True) + math.log(min(sampling.min_p, 1.0))
        best = mx.where(best >= least, best, -mx.inf)
    if chance is not None:
        best = _without_the_top(mx, best, sampling, chance)
    highest = mx.max(best, axis=-1, keepdims=True)
    lowest = mx.min(mx.where(best > -mx.inf, best, mx.inf), axis=-1, keepdims=True)
    return mx.where((logprobs < lowest) | (logprobs > highest), -mx.inf, logprobs)


def _typical(mx: ModuleType, best: Array, typical_p: float) -> Array:
    """Keep those whose surprise is nearest to the mean surprise, until they are enough."""
    share = mx.softmax(best, axis=-1)
    surprise = mx.where(share > 0, -mx.log(share), mx.inf)
    mean = mx.sum(mx.where(share > 0, share * surprise, 0.0), axis=-1, keepdims=True)
    distance = mx.abs(surprise - mean)
    order = mx.argsort(distance, axis=-1)
    nearest = mx.take_along_axis(share, order, axis=-1)
    before = mx.cumsum(nearest, axis=-1) - nearest
    near = mx.take_along_axis(distance, order, axis=-1)
    # The nearest always stays, whatever its own share.
    farthest = mx.max(mx.where(before <= max(typical_p, 0.0), near, -1.0), axis=-1, keepdims=True)
    return mx.where(distance <= farthest, best, -mx.inf)


def _likeliest(mx: ModuleType, best: Array, top_p: float) -> Array:
    """Keep the fewest that have ``top_p`` of what is there. ``best`` is in its order."""
    share = mx.softmax(best, axis=-1)
    before = mx.cumsum(share, axis=-1) - share
    # The best token always stays: ``before`` is 0 for it.
    return mx.where((before < top_p) | (before <= 0), best, -mx.inf)


def _without_the_top(mx: ModuleType, best: Array, sampling: Sampling, chance: Array) -> Array:
    """XTC: of the tokens that are likely enough leave only the least likely."""
    likely = mx.softmax(best, axis=-1) >= sampling.xtc_threshold
    # Where none is: inf, and nothing is above it.
    last = mx.min(mx.where(likely, best, mx.inf), axis=-1, keepdims=True)
    return mx.where((best > last) & (chance <= sampling.xtc_probability), -mx.inf, best)
