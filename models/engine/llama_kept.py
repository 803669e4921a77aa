"""What a llama.cpp child should still have of prompts whose sequences have ended.

It does not tell. What it does is known: a slot keeps what ended there until another sequence
takes it, and then it goes to the child's own memory of prompts, whose oldest go first. What
another one begins with is not kept beside it.
"""

from collections import deque
from collections.abc import Sequence

from models.counters import Counters
from models.engine.backend import LoadSpec
from models.needs import cache_of
from models.prompt_entry import Tokens

_MOST = 64  # prompts that are counted: each start is compared with all of them


class Kept:
    """Only the lane's thread calls it."""

    def __init__(self, spec: LoadSpec) -> None:
        self._cache = cache_of(spec.model, spec.kv_type)
        self._slots = spec.max_sequences
        self._most_bytes = spec.prompt_cache_bytes  # beside the slots
        self._found: deque[tuple[Tokens, int]] = deque(maxlen=_MOST)  # with bytes; the newest last
        self._hits = self._misses = 0

    def read(self, tokens: Sequence[int], cached_tokens: int) -> None:
        """A prompt has been read, of which so much was there: that is in use now."""
        self._hits += cached_tokens > 0
        self._misses += cached_tokens == 0
        if cached_tokens:
            wanted = Tokens.of(tokens)
            best = max(self._found, key=lambda each: each[0].common(wanted), default=None)
            if best and best[0].common(wanted) >= cached_tokens:
                self._found.remove(best)

    def ended(self, tokens: Sequence[int], count: int) -> None:
        """A sequence of ``count`` tokens has ended; ``tokens`` are those of known ids."""
        own = Tokens.of(tokens)
        if any(each.common(own) == len(own) for each, _ in self._found):
            return
        kept = [pair for pair in self._found if pair[0].common(own) < len(pair[0])]
        kept.append((own, self._cache.of(count)))
        while sum(size for _, size in kept[: -self._slots]) > self._most_bytes:
            kept.pop(0)
        self._found = deque(kept, maxlen=_MOST)

    def counters(self, waiting: int) -> Counters:
        return Counters(
            prompt_cache_bytes=sum(size for _, size in self._found),
            prompt_cache_hits=self._hits,
            prompt_cache_misses=self._misses,
            waiting_sequences=waiting,
        )
