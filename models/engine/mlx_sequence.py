"""One sequence of an MLX model: how it picks its tokens, and what is told of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from models.engine.backend import Decoded
from models.engine.mlx_layers import Layer
from models.engine.mlx_look import Look
from models.engine.mlx_lookup import Watch
from models.engine.mlx_sampling import Array, Draw, LogitsProcessor
from models.engine.pieces import Pieces
from models.events import FinishReason, TokenLogprob


@dataclass(frozen=True, slots=True)
class State:
    """What the model remembers of a sequence that has left its batch."""

    tokens: list[int]
    layers: list[Layer]


@dataclass(slots=True, eq=False)
class Sequence:
    """``watchers`` are told each token that is handed out, before the next step."""

    ticket: int
    pieces: Pieces
    length: int  # tokens so far, those of the prompt too
    left: int  # tokens that may still come
    urgent: bool
    sampler: Draw | None  # None: the best token, in one call for all such rows
    processors: list[LogitsProcessor] = field(default_factory=list[LogitsProcessor])
    watchers: list[Callable[[int], None]] = field(default_factory=list[Callable[[int], None]])
    logprobs: Callable[[int], tuple[TokenLogprob, ...]] | None = None  # of a token, called once
    watch: Watch | None = None  # one of the watchers; None: it never decodes with drafts
    exact: int = 0  # of the prompt's tokens, those whose state is that of a cold run
    look: Look | None = None  # where its prompt has pictures
    shift: int = 0  # see ``Look.shift``
    error: Exception | None = field(default=None, init=False)

    def process(self, tokens: Array, logits: Array) -> Array:
        """The one logits processor that mlx_lm sees. It never raises.

        There an exception would come out of the step of the whole batch; here it
        ends this sequence after the step.
        """
        try:
            for processor in self.processors:
                logits = processor(tokens, logits)
        except Exception as error:
            self.error = error
        return logits

    def saw(self, token: int) -> None:
        try:
            for watch in self.watchers:
                watch(token)
        except Exception as error:
            self.error = error

    def decoded(self, token: int, finish: FinishReason | None) -> Decoded:
        """What is told of a token that is handed out."""
        self.length += 1
        self.left -= 1
        self.saw(token)
        piece = b""
        if finish is not FinishReason.END_OF_TURN:
            piece = self.pieces.piece(token)
        if finish:
            piece += self.pieces.rest()
        logprobs = self.logprobs(token) if self.logprobs else ()
        return Decoded(self.ticket, piece, (token,), finish, logprobs=logprobs)
