"""What one sequence does in each step of a batch: to its logits, and to pick its token."""

from types import ModuleType

from models.engine.mlx_dry import has_dry, make_dry
from models.engine.mlx_logprobs import RawLogits, read
from models.engine.mlx_penalties import make_biases, make_penalties
from models.engine.mlx_sampling import Array, Draw, LogitsProcessor, make_sampler
from models.engine.mlx_vocabulary import Vocabulary
from models.engine.sampling import Sampling
from models.events import TokenLogprob


class Row:
    """The sampler and the logits processors of one sequence, for mlx_lm.

    ``sampler`` is None where the best token is drawn: such rows share a call.

    Raises:
        InvalidRequest: as ``sampling.check``.
    """

    def __init__(
        self,
        mx: ModuleType,
        vocabulary: Vocabulary,
        sampling: Sampling,
        *,
        top_logprobs: int | None = None,
        grammar: LogitsProcessor | None = None,
    ) -> None:
        biases = make_biases(mx, vocabulary.biases(sampling))
        dry = None
        if has_dry(sampling):
            dry = make_dry(mx, sampling, vocabulary.breakers(sampling.dry_sequence_breakers))
        edits = [each for each in (biases, make_penalties(mx, sampling), dry, grammar) if each]
        self.sampler: Draw | None = make_sampler(mx, sampling)
        self.error: Exception | None = None
        self._mx = mx
        self._edits = edits
        self._raw = RawLogits(mx) if top_logprobs is not None else None
        self._top = top_logprobs or 0
        self._piece = vocabulary.piece

    @property
    def processors(self) -> list[LogitsProcessor]:
        """What mlx_lm is given. Always a list: a batch of rows with and without has crashed
        (mlx-lm#1513)."""
        return [self._process] if self._edits or self._raw else []

    def logprobs(self, token: int) -> tuple[TokenLogprob, ...]:
        """Return that of a token which was handed out, where it was asked for. Once for each."""
        if self._raw is None or self.error:
            return ()
        return (read(self._raw.take(), token, self._top, self._piece),)

    def take_back(self) -> None:
        """Be told that the token which was drawn ahead of time will be drawn again."""
        if self._raw:
            self._raw.forget()
        if self.sampler:
            self.sampler.place -= 1

    def _process(self, tokens: Array, logits: Array) -> Array:
        """The one logits processor that mlx_lm sees. It never raises.

        There an exception would come out of the step of the whole batch; here it
        ends this sequence after the step.
        """
        try:
            edited = self._raw(tokens, logits) if self._raw else logits.astype(self._mx.float32)
            for edit in self._edits:
                edited = edit(tokens, edited)
        except Exception as error:
            self.error = error
            return logits
        return edited
