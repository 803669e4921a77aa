"""How one sequence of an MLX model picks its tokens: what is done to its logits, the draw, and
what is told of it."""

from types import ModuleType

from models.engine.mlx_dry import has_dry, make_dry
from models.engine.mlx_logprobs import RawLogits, read
from models.engine.mlx_penalties import make_biases, make_penalties
from models.engine.mlx_sampling import Array, Draw, LogitsProcessor, make_sampler
from models.engine.mlx_vocabulary import Vocabulary
from models.engine.sampling import Sampling
from models.events import TokenLogprob


class Choice:
    """``sampler`` is None where the best token is drawn: such rows share a call.

    ``processors`` come in llama.cpp's order, in which a grammar is the last.

    Raises:
        InvalidRequest: as ``sampling.check``.
    """

    def __init__(
        self,
        mx: ModuleType,
        vocabulary: Vocabulary,
        sampling: Sampling,
        top_logprobs: int | None = None,
    ) -> None:
        biases = make_biases(mx, vocabulary.biases(sampling))
        dry = None
        if has_dry(sampling):
            dry = make_dry(mx, sampling, vocabulary.breakers(sampling.dry_sequence_breakers))
        edits = [each for each in (biases, make_penalties(mx, sampling), dry) if each]
        self._raw = RawLogits(mx) if top_logprobs is not None else None
        self._top = top_logprobs or 0
        self._piece = vocabulary.piece
        self.sampler: Draw | None = make_sampler(mx, sampling)
        self.processors: list[LogitsProcessor] = []
        if self._raw:
            self.processors = [self._raw, *edits]
        elif edits:
            self.processors = [_in_32_bits(mx), *edits]

    def logprobs(self, token: int) -> tuple[TokenLogprob, ...]:
        """Return that of a token which is handed out, where it was asked for. Once for each."""
        if self._raw is None:
            return ()
        return (read(self._raw.take(), token, self._top, self._piece),)


def _in_32_bits(mx: ModuleType) -> LogitsProcessor:
    def widen(_: Array, logits: Array) -> Array:
        return logits.astype(mx.float32)

    return widen
