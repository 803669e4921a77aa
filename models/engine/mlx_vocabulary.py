"""What the draws of an MLX model must know of its vocabulary: tokens as bytes, and texts as
tokens."""

import time
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, lru_cache

from models.engine.mlx_dry import Breakers, find_breakers, has_dry
from models.engine.pieces import Pieces
from models.engine.sampling import Sampling, check

_BANNED = float("-inf")
# To read a vocabulary takes seconds of Python, and who decodes meanwhile would wait up to 5 ms
# (sys.getswitchinterval) for each of its turns: so every 0.5 ms they are let in.
_READ_AT_A_TIME = 128
_PAUSE_SECONDS = 0.0002


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
        # Of everyone who may be on the way from ``prepare`` to the lane.
        self.breakers = lru_cache(maxsize=64)(self._find_breakers)
        self._tokens_of = lru_cache(maxsize=4096)(self._find_tokens)

    def prepare(self, sampling: Sampling) -> None:
        """Find out what takes long, on a thread that may wait: the rest asks for it on the lane.

        Raises:
            InvalidRequest: as ``sampling.check``.
        """
        self.biases(sampling)
        if has_dry(sampling):
            self.breakers(sampling.dry_sequence_breakers)

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
            for each in (token,) if isinstance(token, int) else self._tokens_of(token):
                biases[each] = biases.get(each, 0.0) + bias
        if sampling.ignore_eos:
            biases.update(dict.fromkeys(self._end_tokens, _BANNED))
        return biases

    def _find_tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self._encode(text))

    def _find_breakers(self, texts: tuple[str, ...]) -> Breakers:
        return find_breakers(texts, self._pieces, self._encode)

    @cached_property
    def _pieces(self) -> list[bytes]:
        return list(self._all_pieces())

    def _all_pieces(self) -> Iterator[bytes]:
        for token in range(self.size):
            if token % _READ_AT_A_TIME == 0:
                time.sleep(_PAUSE_SECONDS)
            yield self.piece(token)
