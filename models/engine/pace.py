"""How fast a model works, and when it took its last step: told by what comes out of it."""

import math
import time
from collections import deque

from models.engine.backend import Admitted, Decoded, Output, Prefilled
from models.resident import Doing

_BUCKET_SECONDS = 0.5
_BUCKETS = 10  # the latest are looked at: some seconds


class Pace:
    """Only its lane's thread calls it."""

    def __init__(self) -> None:
        self._last_step = time.monotonic()
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._decoded: deque[tuple[int, int]] = deque(maxlen=_BUCKETS)  # number, tokens

    def resume(self) -> None:
        """There is work: a step is to be expected from now on."""
        self._last_step = time.monotonic()

    def take(self, output: Output) -> None:
        self._last_step = time.monotonic()
        match output:
            case Admitted(_, prompt_tokens):
                self._prompt_tokens += prompt_tokens
            case Prefilled(_, cached_tokens):
                self._cached_tokens += cached_tokens
            case Decoded(count=count):
                self._count(count)
            case _:
                pass

    def doing(self, *, stepping: bool) -> Doing:
        """Return what it does; ``stepping``: whether it has sequences now."""
        return Doing(
            stepping=stepping,
            last_step=self._last_step,
            tokens_per_second=self._tokens_per_second() if stepping else 0.0,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
        )

    def _tokens_per_second(self) -> float:
        now = time.monotonic()
        oldest = math.floor(now / _BUCKET_SECONDS) - _BUCKETS + 1
        recent = [each for each in self._decoded if each[0] >= oldest]
        if not recent:
            return 0.0
        seconds = now - recent[0][0] * _BUCKET_SECONDS
        return sum(count for _, count in recent) / max(seconds, _BUCKET_SECONDS)

    def _count(self, tokens: int) -> None:
        bucket = math.floor(self._last_step / _BUCKET_SECONDS)
        if self._decoded and self._decoded[-1][0] == bucket:
            tokens += self._decoded.pop()[1]
        self._decoded.append((bucket, tokens))
