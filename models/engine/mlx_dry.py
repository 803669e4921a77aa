"""DRY: what would go on with a repetition costs the more, the longer it is already.

As in llama.cpp (src/llama-sampling.cpp): a token that followed an earlier run of the newest
tokens loses ``multiplier * base ** (run - allowed_length)``. Sequence breakers end a run, and
are never penalised where they are one token.

How long a run each earlier place ends is known of one token from the token before, so it is
carried from step to step on the GPU and nothing is read from it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from models.engine.mlx_sampling import Array, LogitsProcessor
from models.engine.sampling import Sampling

_LOG_OF_LARGEST = 88.7228391  # of a 32-bit number
_LEAST_GROWTH = 1.000001  # a base below it never reaches that
_MOST_TAIL_TOKENS = 20  # llama.cpp's MAX_SEQ_LEN


@dataclass(frozen=True, slots=True)
class Breakers:
    """Texts that end a run, as tokens."""

    single: frozenset[int] = frozenset()  # tokens that have one in them
    # Further tokens of one, and the tokens it may begin in, before these.
    tails: Mapping[tuple[int, ...], frozenset[int]] = field(
        default_factory=dict[tuple[int, ...], frozenset[int]]
    )

    def newest(self, tokens: Sequence[int]) -> int:
        """Return the place of the last token that is the end of one; -1: none is."""
        may_end = self.single.union(tail[-1] for tail in self.tails)
        places = range(len(tokens) - 1, -1, -1)
        # A long prompt that has none is passed over at once: others wait for their next tokens.
        likely = (place for place in places if tokens[place] in may_end)
        return next((place for place in likely if self.end(tokens, place)), -1)

    def end(self, tokens: Sequence[int], last: int) -> bool:
        """Whether the token at ``last`` is the end of one."""
        return tokens[last] in self.single or any(
            last >= len(tail)
            and tokens[last - len(tail)] in heads
            and tuple(tokens[last - len(tail) + 1 : last + 1]) == tail
            for tail, heads in self.tails.items()
        )


def find_breakers(
    texts: Sequence[str], pieces: Sequence[bytes], encode: Callable[[str], list[int]]
) -> Breakers:
    """Find all tokens that a text may begin in; ``pieces`` are those of the vocabulary."""
    single: set[int] = set()
    tails: dict[tuple[int, ...], set[int]] = {}
    for text in texts:
        sought = text.encode("utf-8", "replace")
        if not sought:
            continue
        single.update(token for token, piece in enumerate(pieces) if sought in piece)
        for cut in range(1, len(text)):
            begun = text[:cut].encode("utf-8", "replace")
            heads = {
                token
                for token, piece in enumerate(pieces)
                if piece.endswith(begun) and token not in single
            }
            if heads and (tail := tuple(encode(text[cut:])[:_MOST_TAIL_TOKENS])):
                tails.setdefault(tail, set()).update(heads)
    return Breakers(frozenset(single), {tail: frozenset(heads) for tail, heads in tails.items()})


def has_dry(sampling: Sampling) -> bool:
    return (
        sampling.dry_multiplier > 0 and sampling.dry_base >= 1 and sampling.dry_penalty_last_n != 0
    )


def make_dry(mx: ModuleType, sampling: Sampling, breakers: Breakers) -> LogitsProcessor:
    return _Dry(mx, sampling, breakers)


class _Dry:
    def __init__(self, mx: ModuleType, sampling: Sampling, breakers: Breakers) -> None:
        self._mx = mx
        self._sampling = sampling
        self._breakers = breakers
        self._single: Array = None  # by token, whether it is a breaker
        self._heads = [
            (mx.array(tail, dtype=mx.int32), mx.array(sorted(heads), dtype=mx.int32))
            for tail, heads in breakers.tails.items()
        ]
        self._seen = -1  # tokens that the two below are about
        self._runs: Array = None  # by place but the last, the length of the run it ends
        self._unbroken: Array = None  # tokens since the last breaker

    def __call__(self, tokens: Array, logits: Array) -> Array:
        mx, sampling = self._mx, self._sampling
        if self._single is None:
            self._single = _mask(mx, self._breakers.single, logits.shape[-1])
        if tokens.shape[0] == self._seen + 1:
            self._go_on(tokens)
        else:
            self._begin(tokens.tolist())
        self._seen = tokens.shape[0]
        if self._seen == 1:
            return logits
        followers, lengths = self._window(tokens[1:], mx.minimum(self._runs, self._unbroken))
        extra = (lengths - sampling.dry_allowed_length).astype(mx.float32)
        exponent = mx.clip(extra, 0, _most_exponent(sampling.dry_base))
        penalty = sampling.dry_multiplier * mx.power(float(sampling.dry_base), exponent)
        costs = (extra >= 0) & ~self._single[followers]
        table = mx.zeros(logits.shape[-1]).at[followers].maximum(mx.where(costs, penalty, 0.0))
        return logits - table

    def _window(self, followers: Array, lengths: Array) -> tuple[Array, Array]:
        """Return what of both is within ``dry_penalty_last_n``, where no run is longer."""
        places = self._sampling.dry_penalty_last_n - 1
        if places < 0 or self._seen <= places:
            return followers, lengths
        within = self._mx.arange(1, places + 1)
        return followers[-places:], self._mx.minimum(lengths[-places:], within)

    def _begin(self, tokens: list[int]) -> None:
        """Take up a text that is there already; this waits for its last token."""
        mx = self._mx
        self._runs = mx.array(runs(tokens), dtype=mx.int32)
        unbroken = len(tokens) - 1 - self._breakers.newest(tokens)
        self._unbroken = mx.array(unbroken, dtype=mx.int32)

    def _go_on(self, tokens: Array) -> None:
        mx = self._mx
        newest, before = tokens[-1], tokens[:-1]
        one_longer = mx.concatenate([mx.zeros(1, dtype=mx.int32), self._runs]) + 1
        self._runs = mx.where(before == newest, one_longer, 0)
        broken = self._single[newest]
        for tail, heads in self._heads:
            size = tail.shape[0]
            if tokens.shape[0] > size:
                here = mx.all(tokens[-size:] == tail)
                broken = broken | (here & mx.any(heads == tokens[-size - 1]))
        self._unbroken = mx.where(broken, 0, self._unbroken + 1)


def runs(tokens: Sequence[int]) -> list[int]:
    """Return for each place but the last how many tokens up to it are also the newest ones.

    It is the Z-function of the text read backwards: the time grows with its length alone.
    """
    newest_first = tokens[::-1]
    count = len(tokens)
    lengths = [0] * count
    left = right = 0
    for place in range(1, count):
        length = 0
        if place < right:
            length = min(right - place, lengths[place - left])
        while place + length < count and newest_first[length] == newest_first[place + length]:
            length += 1
        if place + length > right:
            left, right = place, place + length
        lengths[place] = length
    return lengths[:0:-1]


def _most_exponent(base: float) -> float:
    return int(_LOG_OF_LARGEST / math.log(base)) if base > _LEAST_GROWTH else math.inf


def _mask(mx: ModuleType, tokens: frozenset[int], width: int) -> Array:
    known = [token for token in tokens if token < width]
    mask = mx.zeros(width, dtype=mx.int32)
    return (mask.at[mx.array(known, dtype=mx.int32)].add(1) if known else mask) > 0
