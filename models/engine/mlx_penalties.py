"""What is added to a row's logits before the filters: biases, and the three penalties.

Everything stays lazy: reading a token's value here would stall the whole batch.
"""

from collections.abc import Mapping
from types import ModuleType

from models.engine.mlx_sampling import Array, LogitsProcessor
from models.engine.sampling import Sampling


def make_biases(mx: ModuleType, biases: Mapping[int, float]) -> LogitsProcessor | None:
    """Return what adds ``biases``, by token, to the logits; None where there are none."""
    if not biases:
        return None
    row: Array | None = None

    def bias(_: Array, logits: Array) -> Array:
        nonlocal row
        if row is None:
            width = logits.shape[-1]
            known = {token: value for token, value in biases.items() if token < width}
            values = mx.array(list(known.values()), dtype=mx.float32)
            row = mx.zeros((1, width)).at[0, mx.array(list(known), dtype=mx.int32)].add(values)
        return logits + row

    return bias


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
        recent = tokens[-sampling.repeat_last_n :] if sampling.repeat_last_n > 0 else tokens
        counts = mx.zeros(logits.shape[-1], dtype=mx.float32).at[recent].add(1)
        repeated = mx.where(
            logits <= 0, logits * sampling.repeat_penalty, logits / sampling.repeat_penalty
        )
        penalty = counts * sampling.frequency_penalty + sampling.presence_penalty
        return mx.where(counts > 0, repeated - penalty, logits)

    return penalise
