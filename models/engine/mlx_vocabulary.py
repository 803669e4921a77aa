"""What the draws of an MLX model must know of its vocabulary: tokens as bytes, and texts as
tokens."""

from collections.abc import Callable, Collection
from functools import cached_property, lru_cache

from models.engine.mlx_dry import Breakers, find_breakers
from models.engine.pieces import Pieces
from models.engine.sampling import Sampling, check

_BANNED = float("-inf")


class Vocabulary:
    """``size`` is the model's: rows of the logits, some of which may stand for nothing."""

    def __init__(
        self,
        size: int,
        end_tokens: Collection[int],
        encode: Callable[[str], list[int]],
        new_pieces: Callable[[], Pieces],
    ) -> None:
        self.size = size
        self._end_tokens = tuple(sorted(end_tokens))
        self._encode = encode
        self._new_pieces = new_pieces
        # The default ones, and those of a program that has its own.
        self.breakers = lru_cache(maxsize=4)(self._find_breakers)

    def piece(self, token: int) -> bytes:
        """Return a token's bytes, whatever is before it; none of a special token."""
        if token in self._end_tokens:
            return b""
        pieces = self._new_pieces()
        return pieces.piece(token) + pieces.rest()

    def biases(self, sampling: Sampling) -> dict[int, float]:
        """Return what is added to the logits, by token: of a text, to each of its tokens.

        Raises:
            InvalidRequest: as ``sampling.check``.
        """
        check(sampling, self.size)
        biases: dict[int, float] = {}
        for token, bias in sampling.logit_bias:
            for each in (token,) if isinstance(token, int) else self._encode(token):
                biases[each] = biases.get(each, 0.0) + bias
        if sampling.ignore_eos:
            biases.update(dict.fromkeys(self._end_tokens, _BANNED))
        return biases

    def _find_breakers(self, texts: tuple[str, ...]) -> Breakers:
        return find_breakers(texts, self._pieces, self._encode)

    @cached_property
    def _pieces(self) -> list[bytes]:
        return [self.piece(token) for token in range(self.size)]
