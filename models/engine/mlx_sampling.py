"""How the MLX engine picks a token: what a row does to its logits, and a draw of its own.

The order is llama.cpp's (``sampling.py``), so that one request means the same in both
engines. mlx_lm's own samplers filter in another order and share one random state, so a seed
would not repeat in a batch.

Nothing here imports mlx: whoever owns the GPU passes ``mlx.core`` in.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

from models.engine.mlx_filters import changes_the_best, has_filters, has_xtc, keep
from models.engine.sampling import Sampling

Array: TypeAlias = Any
"""An mlx.core.array."""

Sampler: TypeAlias = Callable[[Array], Array]
"""Log-probabilities (1, vocabulary) to a token (1,)."""

LogitsProcessor: TypeAlias = Callable[[Array, Array], Array]
"""The sequence's tokens so far, and its logits (1, vocabulary), to other logits."""

_UINT64 = (1 << 64) - 1
_LEAST_TEMPERATURE = 1e-6  # below it a quotient is no longer a 32-bit number


def make_sampler(mx: ModuleType, sampling: Sampling) -> "Draw | None":
    """Return None where a draw is the best token: such rows share mlx_lm's one call."""
    greedy = sampling.temperature <= 0
    return None if greedy and not changes_the_best(sampling) else Draw(mx, sampling)


class Draw:
    """A sampler of one sequence. What it draws depends on nothing but the log-probabilities,
    the seed and the place: not on the batch, nor on whether a draw is made a second time.

    ``place`` is that of the next token, from 0; whoever takes a token back sets it back.
    """

    def __init__(self, mx: ModuleType, sampling: Sampling) -> None:
        self.place = 0
        self._mx = mx
        self._sampling = sampling
        self._filters = has_filters(sampling)

    def __call__(self, logprobs: Array) -> Array:
        self.place += 1
        return self.at(self.place - 1, logprobs)

    def at(self, place: int, logprobs: Array) -> Array:
        """Return the token (1,) of this place."""
        mx, sampling = self._mx, self._sampling
        logprobs = logprobs.astype(mx.float32)
        if self._filters:
            chance = self._chance(place) if has_xtc(sampling) else None
            logprobs = keep(mx, logprobs, sampling, chance)
        if sampling.temperature <= 0:
            return mx.argmax(logprobs, axis=-1)
        below_best = logprobs - mx.max(logprobs, axis=-1, keepdims=True)
        # Over the whole vocabulary and not over the few that are kept: there the noise
        # would belong to a rank, which rounding in another batch can change.
        scaled = below_best / max(sampling.temperature, _LEAST_TEMPERATURE)
        return mx.random.categorical(scaled, key=self._key(2 * place))

    def _chance(self, place: int) -> Array:
        return self._mx.random.uniform(key=self._key(2 * place + 1))

    def _key(self, number: int) -> Array:
        return self._mx.random.key(_mixed(self._sampling.seed, number))


def _mixed(seed: int, number: int) -> int:
    """Return 64 bits that look unlike those of any near seed or number (splitmix64)."""
    bits = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _UINT64
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _UINT64
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _UINT64
    return bits ^ (bits >> 31)
