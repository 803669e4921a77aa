"""Log-probabilities of a prompt's own tokens, taken while it is read, chunk by chunk.

They cost the output head at every place, which reading a prompt does not compute otherwise, and
so the whole prompt has to be read: what is in the prefix cache says nothing of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

from models.engine.mlx_logprobs import LEAST
from models.engine.mlx_sampling import Array
from models.events import TokenLogprob

# Of logits in 32 bits. What is made of them takes as much again (116 MB in all were measured
# for 64 tokens of a vocabulary of 152,000).
_MOST_BYTES = 64 << 20


class Echo:
    """Args:
    top: how many of the likeliest are told in each place.
    piece: a token's bytes.
    vocabulary_size: of the logits.
    """

    def __init__(
        self,
        mx: ModuleType,
        tokens: Sequence[int],
        top: int,
        *,
        piece: Callable[[int], bytes],
        vocabulary_size: int,
    ) -> None:
        self._mx = mx
        self._tokens = tokens
        self._top = top
        self._piece = piece
        self._vocabulary_size = vocabulary_size
        # Nothing comes before the first: it is as certain as can be.
        self._entries = [TokenLogprob(tokens[0], piece(tokens[0]), 0.0)]

    def anew(self) -> "Echo":
        return Echo(
            self._mx,
            self._tokens,
            self._top,
            piece=self._piece,
            vocabulary_size=self._vocabulary_size,
        )

    @property
    def most_tokens(self) -> int:
        """That may be read at once: a power of two, as the chunks of a grid are."""
        rows = max(1, _MOST_BYTES // (4 * self._vocabulary_size))
        return 1 << rows.bit_length() - 1

    @property
    def entries(self) -> tuple[TokenLogprob, ...]:
        """Of the tokens so far: of all, once the prompt is read."""
        return tuple(self._entries)

    def take(self, logits: Array) -> None:
        """Take what the model said (tokens, vocabulary) behind the next tokens of the prompt."""
        mx = self._mx
        first = len(self._entries)
        targets = self._tokens[first : first + logits.shape[0]]
        logits = logits.astype(mx.float32)
        total = mx.logsumexp(logits, axis=-1, keepdims=True)
        columns = mx.array(targets)[:, None]
        if top := min(self._top, logits.shape[-1]):
            best = mx.argpartition(logits, -top, axis=-1)[:, -top:]
            columns = mx.concatenate([columns, best.astype(columns.dtype)], axis=-1)
        values = mx.take_along_axis(logits, columns, axis=-1) - total
        for ids, row in zip(columns.tolist(), values.tolist(), strict=True):
            (own, *likely) = [self._entry(*pair) for pair in zip(ids, row, strict=True)]
            likely.sort(key=lambda each: (-each.logprob, each.id))
            self._entries.append(replace(own, top=tuple(likely)))

    def _entry(self, token: int, logprob: float) -> TokenLogprob:
        return TokenLogprob(token, self._piece(token), min(max(logprob, LEAST), 0.0))
