"""Vectors of an MLX model: rows go through it in steps, each of which is short.

An encoder reads a row as a whole; a decoder goes on from chunk to chunk, through a KV cache of
its own. Nothing here imports mlx: whoever has it passes it in.
"""

import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from models.engine.backend import EmbedWork, Output, Pooled, SequenceFailed
from models.engine.inputs import unknown_tokens
from models.engine.mlx_load import first_line, is_out_of_memory
from models.engine.mlx_rows import Row, Rows
from models.errors import InferenceError, ModelCrashed, OutOfMemory

log = logging.getLogger(__name__)

Array: TypeAlias = Any
Vectors: TypeAlias = list[tuple[float, ...]]

# A step should take no more than a tenth of a second or two, for others wait for it: parameters
# times tokens, for a GPU of 5 TFLOPS, and for MLX on a processor, which has some GFLOPS.
_STEP_WORK = 1 << 38
_STEP_WORK_OF_CPU = 1 << 29
_MOST_STEP_TOKENS = 4096
_LEAST_STEP_TOKENS = 64  # fewer cost as much


def step_tokens(parameter_count: int, *, on_cpu: bool) -> int:
    """Return how many tokens may go through a model of this size in one step."""
    work = _STEP_WORK_OF_CPU if on_cpu else _STEP_WORK
    tokens = work // max(1, parameter_count)
    return max(_LEAST_STEP_TOKENS, min(_MOST_STEP_TOKENS, tokens))


class Pass(Protocol):
    """Some rows on their way through a model."""

    def step(self) -> Vectors | None:
        """Go on for one step; return the vectors when they are there."""
        ...


class Embeddings:
    """All requests for vectors of one model.

    Args:
        name: the model's.
        new_pass: starts rows on their way.
    """

    def __init__(
        self,
        name: str,
        new_pass: Callable[[Sequence[tuple[int, ...]]], Pass],
        *,
        vocabulary_size: int,
        step_tokens: int,
    ) -> None:
        self._name = name
        self._new_pass = new_pass
        self._vocabulary_size = vocabulary_size
        self._step_tokens = step_tokens
        self._waiting = Rows()
        self._rows: list[Row] = []  # that are on their way
        self._pass: Pass | None = None

    def has_work(self) -> bool:
        return bool(self._rows or self._waiting)

    def add(self, ticket: int, work: EmbedWork) -> None:
        """Raises InvalidRequest."""
        # MLX does not check an index, and would read whatever lies there.
        if any(max(row) >= self._vocabulary_size for row in work.rows):
            raise unknown_tokens()
        self._waiting.add(ticket, work.rows)

    def remove(self, ticket: int) -> None:
        """Harmless where it is unknown or over."""
        self._waiting.remove(ticket)
        if self._rows and all(row.ticket == ticket for row in self._rows):
            self._rows, self._pass = [], None

    def step(self) -> list[Output]:
        if not self.has_work():
            return []
        try:
            if self._pass is None:
                self._rows = self._waiting.next(self._step_tokens)
                self._pass = self._new_pass([row.tokens for row in self._rows])
            vectors = self._pass.step()
        except Exception as error:
            log.exception("Texts could not be embedded")
            failure = _explained(self._name, error)
        else:
            return self._done(vectors) if vectors is not None else []
        # Out here the exception is gone, and with it the frames that hold the arrays.
        tickets = {row.ticket for row in self._rows}
        self._rows, self._pass = [], None
        for ticket in tickets:
            self._waiting.remove(ticket)
        return [SequenceFailed(ticket, failure.again()) for ticket in tickets]

    def _done(self, vectors: Vectors) -> list[Output]:
        found: dict[int, dict[int, tuple[float, ...]]] = {}
        for row, vector in zip(self._rows, vectors, strict=True):
            found.setdefault(row.ticket, {})[row.place] = vector
        self._rows, self._pass = [], None
        return [Pooled(ticket, some) for ticket, some in found.items()]


def _explained(name: str, error: Exception) -> InferenceError:
    if is_out_of_memory(error):
        return OutOfMemory(f"'{name}' ran out of memory: embed shorter texts.")
    return ModelCrashed(f"'{name}' failed while it embedded a text: {first_line(error)}")


class Decoding:
    """A ``Pass`` through a decoder, some tokens of each row a step.

    Args:
        hidden: (rows, length) of tokens and a KV cache to (rows, length, width).
        cache: of the model, empty.
        way: see ``Pool``.
    """

    def __init__(
        self,
        mx: ModuleType,
        hidden: Callable[[Array, Any], Array],
        cache: list[Any],
        rows: Sequence[tuple[int, ...]],
        *,
        way: str,
        step_tokens: int,
    ) -> None:
        self._mx = mx
        self._hidden = hidden
        self._cache = cache
        # Causal: what stands behind a row's end changes nothing before it.
        self._tokens, _ = padded(mx, rows)
        self._pool = Pool(mx, way, [len(row) for row in rows])
        self._chunk = max(1, step_tokens // len(rows))
        self._done = 0

    def step(self) -> Vectors | None:
        end = min(self._done + self._chunk, self._tokens.shape[1])
        self._pool.add(self._hidden(self._tokens[:, self._done : end], self._cache))
        self._done = end
        if end == self._tokens.shape[1]:
            return self._pool.vectors()
        self._mx.eval(self._pool.state, [layer.state for layer in self._cache])
        return None


class Pool:
    """Makes one vector of many, of each row, from one chunk after another.

    ``way`` is "mean", "cls", "last" or "max"; ``lengths`` are the tokens of each row.
    """

    def __init__(self, mx: ModuleType, way: str, lengths: Sequence[int]) -> None:
        self._mx = mx
        self._way = way
        self._lengths = mx.array(lengths)
        self._done = 0
        self.state: Array | None = None  # (rows, width), in 32 bit

    def add(self, hidden: Array) -> None:
        """Take the next part (rows, length, width) of every row."""
        mx = self._mx
        x = hidden.astype(mx.float32)
        positions = mx.arange(self._done, self._done + x.shape[1])[None]
        mask = (positions < self._lengths[:, None])[..., None]
        self._done += x.shape[1]
        match self._way:
            case "cls":
                self.state = x[:, 0] if self.state is None else self.state
            case "last":
                last = (positions == self._lengths[:, None] - 1)[..., None]
                self._sum(mx.where(last, x, 0).sum(1))
            case "max":
                most = mx.where(mask, x, -mx.inf).max(1)
                self.state = most if self.state is None else mx.maximum(self.state, most)
            case _:
                self._sum(mx.where(mask, x, 0).sum(1) / self._lengths[:, None])

    def _sum(self, part: Array) -> None:
        self.state = part if self.state is None else self.state + part

    def vectors(self) -> Vectors:
        """Return them, of unit length."""
        length = self._mx.linalg.norm(self.state, axis=-1, keepdims=True)
        made = self.state / self._mx.maximum(length, 1e-12)
        return [tuple(row) for row in made.tolist()]


def padded(mx: ModuleType, rows: Sequence[tuple[int, ...]]) -> tuple[Array, Array]:
    """Return tokens (rows, length), and a mask that is true where a row has some."""
    longest = max(map(len, rows))
    tokens = mx.array([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = mx.arange(longest)[None] < mx.array([len(row) for row in rows])[:, None]
    return tokens, mask
