"""A row that decodes by itself, with drafts: from where it left its batch until another comes."""

from collections.abc import Collection

from models.engine.backend import Decoded
from models.engine.mlx_lookup import Drafting
from models.engine.mlx_sequence import Sequence as Row
from models.engine.mlx_sequence import State
from models.events import FinishReason


class Alone:
    """``stop_tokens`` end a turn."""

    def __init__(self, row: Row, drafting: Drafting, stop_tokens: Collection[int]) -> None:
        self.row = row
        self._drafting = drafting
        self._stop_tokens = stop_tokens

    @property
    def worthwhile(self) -> bool:
        return self._drafting.watch.gate.open

    @property
    def last(self) -> int:
        """Its newest token, which the model has not read."""
        return self._drafting.tokens[-1]

    @property
    def state(self) -> State:
        """That after all its tokens but the last."""
        return State(self._drafting.tokens[:-1], self._drafting.layers)

    def step(self) -> list[Decoded]:
        """Return one token or a few, each by itself: a stop string may end it at any."""
        tokens = self._drafting.step(self.row.left, self._stop_tokens)
        return [
            self.row.decoded(each, finish_of(each, self.row, self._stop_tokens)) for each in tokens
        ]


def finish_of(token: int, row: Row, stop_tokens: Collection[int]) -> FinishReason | None:
    """Why a row would end with its next token."""
    if token in stop_tokens:
        return FinishReason.END_OF_TURN
    return FinishReason.MAX_TOKENS if row.left == 1 else None
