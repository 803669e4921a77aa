"""One prompt on its way through an MLX model, chunk by chunk, on a fixed grid.

All but its last token is read here: mlx_lm's batch feeds that one, and goes on from there.
The layers are this prompt's own, so it can be left and taken up between any two chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from models.engine.mlx_echo import Echo
from models.engine.mlx_layers import Layer, Layers
from models.engine.mlx_load import Module
from models.engine.mlx_look import Look
from models.engine.mlx_places import Places
from models.engine.prefix_cache import Hit, Kind


@dataclass(frozen=True, slots=True)
class Grid:
    """Where prompts are cut, counted from their first token: never by who else is there.

    Rounding depends on how a prompt is cut. What is cut at the grid alone is the same on
    every day, to the bit, however much of it was in the cache.
    """

    chunk: int  # tokens
    alone: int  # tokens, where nobody waits and no seed is to be kept: a multiple of ``chunk``


# See docs/decisions/mlx-batches.md.
_CPU_GRID = Grid(chunk=32, alone=32)
_SMALL_GRID = Grid(chunk=512, alone=2048)
_LARGE_GRID = Grid(chunk=256, alone=2048)
_LARGE_BYTES = 4 << 30  # of weights


def grid_for(on_cpu: bool, weights_bytes: int) -> Grid:
    """Where prompts are cut: by the model and the device alone."""
    if on_cpu:
        return _CPU_GRID
    return _LARGE_GRID if weights_bytes > _LARGE_BYTES else _SMALL_GRID


@dataclass(frozen=True, slots=True)
class Snapshot:
    tokens: Sequence[int]
    layers: list[Layer]
    kind: Kind
    exact: int


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads prompts: the same for all of one model."""

    mx: ModuleType
    model: Module
    new_layers: Callable[[], list[Layer]]
    handling: Layers
    grid: Grid


class Prefill:
    """Args:
    marks: lengths at which later prompts may part from this one, for models whose state
        cannot be cut: there it is kept.
    to_the_bit: the state is to be that of a cold run.
    echo: is given the logits of every token.
    look: sees its pictures, where it has any.
    """

    def __init__(
        self,
        reader: Reader,
        tokens: Sequence[int],
        marks: Sequence[int],
        *,
        to_the_bit: bool,
        echo: Echo | None = None,
        look: Look | None = None,
    ) -> None:
        self.tokens = tokens
        self.places = look.places if look else Places()
        self.keys = self.places.keys(tokens) if look else tokens  # what the cache knows it by
        self.echo = echo
        self.look = look
        self.layers: list[Layer] = []
        self.done = 0
        self.cached = 0  # tokens that came from the cache
        self.exact = 0  # of the first tokens done, those whose state is that of a cold run
        self._reader = reader
        self._to_the_bit = to_the_bit
        chunk = reader.grid.chunk
        if to_the_bit:  # what is cut elsewhere is rounded otherwise
            marks = [mark // chunk * chunk for mark in marks]
        self._marks = sorted({mark for mark in marks if 0 < mark < self.last})
        self._marked: dict[int, list[Layer]] = {}

    def anew(self) -> "Prefill":
        return Prefill(
            self._reader,
            self.tokens,
            self._marks,
            to_the_bit=self._to_the_bit,
            echo=self.echo and self.echo.anew(),
            look=self.look and self.look.again(self.tokens),
        )

    @property
    def last(self) -> int:
        """How many tokens are read here."""
        return len(self.tokens) - 1

    @property
    def left(self) -> int:
        return self.last - self.done

    @property
    def grid(self) -> int | None:
        """What is reused must be a multiple of so many tokens, and as a cold run has it."""
        return self._reader.grid.chunk if self._to_the_bit else None

    @property
    def shift(self) -> int:
        """See ``Look.shift``."""
        return self.look.shift if self.look else 0

    def begin(self, hit: Hit | None) -> None:
        """Begin with what is known already."""
        handling = self._reader.handling
        hit = hit and self._uncut(hit)
        if hit is None:
            self.layers = self._reader.new_layers()
            return
        self.done = self.cached = hit.length
        self.exact = hit.exact
        # Where nothing is to be added to it, it may stay another's.
        self.layers = handling.fork(hit.layers) if self.left else hit.layers

    def _uncut(self, hit: Hit) -> Hit | None:
        """Leave out of what is known the beginning of a picture."""
        if self.look and self.look.may_see_ahead and hit.length < self.places.found[-1].end:
            return None
        length = self.places.uncut(hit.length, self.grid)
        if length == hit.length:
            return hit
        if not length or not self._reader.handling.cuttable(hit.layers):
            return None
        layers = self._reader.handling.view(hit.layers, length)
        return Hit(layers, length, min(hit.exact, length))

    def see_some(self) -> bool:
        """See a part of the next picture that is to be read; return whether there was one."""
        return self.look is not None and self.look.see_some(self.done)

    def next_cut(self, *, alone: bool) -> int:
        """How many tokens are done after the next chunk."""
        if self.look and self.look.in_one_piece:
            return self.last
        grid = self._reader.grid
        size = grid.alone if alone and not self._to_the_bit else grid.chunk
        ends = [self.done // grid.chunk * grid.chunk + size, self.last]
        ends += [mark for mark in self._marks if mark > self.done]
        if self.echo:
            ends.append(self.done + self.echo.most_tokens)
        return min(ends)

    def go_on(self, end: int) -> None:
        """Read as far as ``end``, a cut that ``next_cut`` has given."""
        mx, chunk = self._reader.mx, self._reader.grid.chunk
        if self.look:
            logits = self.look.read(self.done, end, self.layers)
        else:
            inputs = mx.array([list(self.tokens[self.done : end])])
            logits = self._reader.model(inputs, cache=self.layers)
        # What is not evaluated of them is not computed.
        mx.eval([layer.state for layer in self.layers])
        if self.echo:
            self.echo.take(logits[0])
        mx.clear_cache()
        if self.exact == self.done and self.done % chunk == 0 and end - self.done <= chunk:
            self.exact = end
        self.done = end
        if end in self._marks:
            self._marked[end] = self._reader.handling.mark(self.layers)

    def snapshots(self) -> Iterator[Snapshot]:
        """What is worth keeping of what has been read: all of it, then its marks."""
        if self.done > self.cached:
            yield Snapshot(self.keys[: self.done], self.layers, "turn", self.exact)
        for mark, marked in self._marked.items():
            layers = self._reader.handling.borrow(marked, self.layers, mark)
            first = mark == self._marks[0] and len(self._marks) > 1
            kind: Kind = "system" if first else "history"
            yield Snapshot(self.keys[:mark], layers, kind, min(mark, self.exact))
