"""On MLX, what ends the thoughts of one sequence that have been long enough.

Nothing here imports mlx: whoever owns the GPU passes ``mlx.core`` in.
"""

from collections.abc import Callable
from types import ModuleType

from models.engine.mlx_sampling import Array
from models.engine.thought_budget import ThoughtBudget, ThoughtWatch


class ThoughtEnd:
    """A logits processor of one sequence: behind its last thought no token can be drawn but
    those of the end, one after the other.

    mlx_lm works one token ahead, so the newest is not told yet when the next is drawn. It is
    read where the end is due, and only there: to read it is to wait for the device.
    """

    def __init__(
        self, mx: ModuleType, budget: ThoughtBudget, piece: Callable[[int], bytes]
    ) -> None:
        self._mx = mx
        self._closing = budget.closing_tokens
        self._watch = ThoughtWatch(budget)
        self._piece = piece
        self._told = 0  # tokens
        self._prompt: int | None = None  # tokens before the first that is drawn
        self._start: int | None = None  # tokens before the first of the end

    def saw(self, token: int) -> None:
        """Be told of each token that is handed out, before the next call."""
        self._told += 1
        if not self._watch.over:
            self._watch.take(self._piece(token), 1)

    def __call__(self, tokens: Array, logits: Array) -> Array:
        length: int = tokens.shape[0]
        if self._prompt is None:
            self._prompt = length
        told = self._prompt + self._told
        if self._start is not None and (
            length < self._start  # what was drawn ahead of time is drawn again
            or told >= self._start + len(self._closing)
        ):
            self._start = None
        if self._start is None and self._is_due(tokens, length - told):
            self._start = length
        place = -1 if self._start is None else length - self._start
        if not 0 <= place < len(self._closing):
            return logits
        mx = self._mx
        wanted = mx.arange(logits.shape[-1]) == self._closing[place]
        return mx.where(wanted, mx.zeros_like(logits), mx.array(-mx.inf, logits.dtype))

    def _is_due(self, tokens: Array, untold: int) -> bool:
        if not self._watch.may_be_due(untold):
            return False
        newest: list[int] = memoryview(tokens)[len(tokens) - untold :].tolist() if untold else []
        return self._watch.is_due(b"".join(map(self._piece, newest)), untold)
