"""Rows that decode one after another, behind the face of mlx_lm's ``BatchGenerator``.

For vision models that mlx_lm does not know: samplers, grammars, cancels and the prefix cache are
then those of the batch. Like mlx_lm it is one token ahead: each is drawn before the one in front
of it is handed out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from models.engine.mlx_layers import Layer, Layers
from models.engine.mlx_load import PromptResponse
from models.engine.mlx_sampling import Array, LogitsProcessor, Sampler
from models.engine.mlx_seeing import SeeingModel, shift_of

_ROUND = 256  # tokens after which what layers have outgrown is given back


@dataclass(slots=True)
class Handed:
    """A ``TokenResponse``."""

    uid: int
    token: int
    finish_reason: str | None = None
    prompt_cache: list[Layer] | None = None
    all_tokens: list[int] | None = None


@dataclass(slots=True, eq=False)
class _Row:
    tokens: list[int]  # that the layers hold
    unread: Array  # (1,): the token that follows them
    left: int
    layers: list[Layer]
    shift: int
    sampler: Sampler | None
    processors: list[LogitsProcessor]
    begun: bool = False  # whether ``unread`` is a token of the answer


class SerialBatch:
    """A ``Batch``."""

    def __init__(self, mx: ModuleType, model: SeeingModel, stop_tokens: Collection[int]) -> None:
        self.stream: Any = mx.default_stream(mx.default_device())
        self._mx = mx
        self._model = model
        self._stop_tokens = stop_tokens
        self._handling = Layers(mx)
        self._rows: dict[int, _Row] = {}
        self._count = 0

    # -- What ``Batches`` looks at of mlx_lm's GenerationBatch ----------------------

    @property
    def _generation_batch(self) -> "SerialBatch":
        return self

    @property
    def uids(self) -> list[int]:
        return [uid for uid, row in self._rows.items() if row.begun]

    @property
    def _next_tokens(self) -> list[Array]:
        return [row.unread for row in self._rows.values() if row.begun]

    # -- Rows -----------------------------------------------------------------------

    def insert(
        self,
        prompts: list[list[int]],
        max_tokens: list[int],
        *,
        caches: list[list[Layer]],
        all_tokens: list[list[int]],
        samplers: Sequence[Sampler | None],
        logits_processors: list[list[LogitsProcessor]],
    ) -> list[int]:
        numbers: list[int] = []
        given = zip(
            prompts, max_tokens, caches, all_tokens, samplers, logits_processors, strict=True
        )
        for prompt, left, layers, tokens, sampler, processors in given:
            self._count += 1
            numbers.append(self._count)
            self._rows[self._count] = _Row(
                tokens=list(tokens),
                unread=self._mx.array(prompt),
                left=left,
                layers=self._handling.fork(layers),
                shift=shift_of(layers),
                sampler=sampler,
                processors=processors,
            )
        return numbers

    def next(self) -> tuple[list[PromptResponse], list[Handed]]:
        """Return a token of each row: from its second turn on."""
        return [], [
            handed
            for uid, row in list(self._rows.items())
            if (handed := self._turn(uid, row)) is not None
        ]

    def remove(
        self, uids: list[int], return_prompt_caches: bool
    ) -> dict[int, tuple[list[Layer], list[int]]]:
        gone = {uid: self._rows.pop(uid) for uid in uids}
        return {uid: (row.layers, row.tokens) for uid, row in gone.items()}

    def _turn(self, uid: int, row: _Row) -> Handed | None:
        was_begun, read = row.begun, row.unread
        row.unread = self._draw(row)
        row.begun = True
        self._mx.eval(row.unread, [layer.state for layer in row.layers])
        token = int(read.item())
        row.tokens.append(token)
        if not was_begun:
            return None
        row.left -= 1
        finish = "length" if row.left <= 0 else None
        if token in self._stop_tokens:
            finish = "stop"
        if len(row.tokens) % _ROUND == 0:
            self._mx.clear_cache()
        if finish is None:
            return Handed(uid, token)
        del self._rows[uid]
        return Handed(uid, token, finish, row.layers, row.tokens)

    def _draw(self, row: _Row) -> Array:
        """Have the model read the row's last token, and return what follows it."""
        mx = self._mx
        logits = self._model.alone(row.unread[None], row.layers, shift=row.shift)[:, -1, :]
        if row.processors:
            context = mx.concatenate([mx.array(row.tokens, mx.int32), row.unread])
            for processor in row.processors:
                logits = processor(context, logits)
        logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        if row.sampler is None:
            return mx.argmax(logprobs, axis=-1)
        return row.sampler(logprobs)
