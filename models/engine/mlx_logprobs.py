"""Log-probabilities of the model's own distribution: before biases, penalties, a grammar and
the temperature, as llama.cpp tells them.

They are read by numpy from memory that the step has filled. An operation of MLX would wait
behind the next step, which is on its way already.
"""

from collections import deque
from collections.abc import Callable
from types import ModuleType

import numpy as np

from models.engine.mlx_sampling import Array
from models.events import TokenLogprob

LEAST = -9999.0  # what OpenAI writes for the impossible: JSON has no infinity


class RawLogits:
    """A logits processor, the first of its sequence, that keeps what the model itself said.

    MLX works one token ahead: of two rows that are kept the older one is the row of the
    token that was handed out.
    """

    def __init__(self, mx: ModuleType) -> None:
        self._mx = mx
        self._rows: deque[Array] = deque()

    def __call__(self, _: Array, logits: Array) -> Array:
        logits = logits.astype(self._mx.float32)  # numpy cannot read 16 bits of bfloat16
        self._rows.append(logits)
        return logits

    def take(self) -> Array:
        """Return the logits (1, vocabulary) of the next token that is handed out."""
        return self._rows.popleft()


def read(logits: Array, token: int, top: int, piece: Callable[[int], bytes]) -> TokenLogprob:
    """Return how likely a token was, and the ``top`` likeliest in its place, the best first.

    Args:
        logits: one row that has been evaluated, of 32 bits.
        piece: a token's bytes.
    """
    row = np.array(logits, copy=False).reshape(-1)
    best = float(row.max())
    total = best + float(np.log(np.exp(row - best).sum(dtype=np.float64)))

    def entry(each: int, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        logprob = min(max(float(row[each]) - total, LEAST), 0.0)
        return TokenLogprob(each, piece(each), logprob, top)

    if top <= 0:
        return entry(token)
    top = min(top, len(row))
    likeliest = np.argpartition(row, -top)[-top:]
    # Of equals the first: in 16 bits there are many.
    likeliest = likeliest[np.lexsort((likeliest, -row[likeliest]))]
    return entry(token, tuple(entry(int(each)) for each in likeliest))
