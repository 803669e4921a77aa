"""What mlx_lm keeps of a sequence, layer by layer: looked at, shared, copied, counted.

Nothing here imports mlx: whoever owns the GPU passes it in. mlx.array is a handle: to copy a
layer copies no memory, and the memory is copied when one of two holders is written to.

Two kinds of layers. Keys and values of every token (KVCache, latent ones) can be *cut*: their
first tokens are the state after those tokens. A recurrent state (ArraysCache) and a sliding
window that is full (RotatingKVCache) are the state after all their tokens and no other. A
CacheList has several in one layer.
"""

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from types import ModuleType
from typing import Any, TypeAlias

Layer: TypeAlias = Any
"""A cache of mlx_lm.models.cache: of one layer, for one sequence."""

Array: TypeAlias = Any
"""An mlx.core.array."""

State: TypeAlias = Any
"""What a cache says it consists of: arrays and numbers, in lists and tuples."""

Model: TypeAlias = Any
"""An mlx.nn.Module."""

Cost: TypeAlias = Callable[[int, int], int]
"""Bytes of a batch: tokens of its longest row, rows."""

_STEP = 256  # tokens by which KVCache and BatchKVCache grow (mlx_lm/models/cache.py)


class Layers:
    """What can be done with the layers of one sequence. A ``prefix_cache.Handling``."""

    def __init__(self, mx: ModuleType) -> None:
        self._mx = mx

    def settle(self, layers: list[Layer]) -> None:
        """Compute what is still to be computed, and let go of the rest of its arrays."""
        for layer in _flat(layers):
            if hasattr(layer, "cache"):  # ArraysCache: slices, each of which holds its whole array
                layer.cache = [self._apart(each) for each in layer.cache]
        self._mx.eval([layer.state for layer in layers])

    def detach(self, layers: list[Layer]) -> None:
        """Let go of the batch that these were extracted from; ``settle`` is to follow."""
        for layer in _flat(layers):
            # mlx_lm makes them contiguous, which copies nothing where there is but one head.
            if hasattr(layer, "keys") and layer.keys is not None and layer.keys.shape[1] == 1:
                layer.keys, layer.values = self._apart(layer.keys), self._apart(layer.values)

    def _apart(self, array: Array | None) -> Array | None:
        return None if array is None else array[self._mx.array([0])]

    def cuttable(self, layers: list[Layer]) -> bool:
        return all(layer.is_trimmable() for layer in _flat(layers))

    def grow(self, layers: list[Layer]) -> bool:
        """Whether they can be cut at any length of the sequence."""
        return all(_grows(layer) for layer in _flat(layers))

    def view(self, layers: list[Layer], length: int) -> list[Layer]:
        """The state after ``length`` tokens, in the same arrays: to be read, never written to."""
        return [_each(layer, lambda own: _cut(copy(own), length)) for layer in layers]

    def fork(self, layers: list[Layer]) -> list[Layer]:
        """The same state, to be written to. What stands beyond it is not carried along."""
        return [_each(layer, _own) for layer in layers]

    def mark(self, layers: list[Layer]) -> list[Layer]:
        """What is needed beside later layers of the sequence to ``borrow`` this state again."""
        return [_each(layer, lambda own: own if _grows(own) else deepcopy(own)) for layer in layers]

    def borrow(self, layers: list[Layer], longer: list[Layer], length: int) -> list[Layer]:
        """The state in ``layers``, in the arrays of ``longer`` where those can be cut."""
        return [_borrowed(*pair, length) for pair in zip(layers, longer, strict=True)]

    def compact(self, layers: list[Layer]) -> list[Layer]:
        """The same state in arrays of its own, no longer than it is."""
        own = [_each(layer, copy) for layer in layers]
        for layer in _flat(own):
            if _grows(layer) and layer.keys is not None:
                # Gathered: a slice may be its whole array still, whatever is done to it.
                places = self._mx.arange(layer.offset)
                layer.keys = self._mx.take(layer.keys, places, axis=2)
                layer.values = self._mx.take(layer.values, places, axis=2)
        self._mx.eval([layer.state for layer in own])
        return own

    def arrays(self, layers: list[Layer]) -> dict[int, int]:
        """The bytes of each array, by its identity: views have theirs in common."""
        return {id(array): array.nbytes for layer in layers for array in _arrays(layer.state)}


def _flat(layers: list[Layer]) -> Iterator[Layer]:
    for layer in layers:
        if hasattr(layer, "caches"):  # CacheList
            yield from _flat(layer.caches)
        else:
            yield layer


def _each(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    if not hasattr(layer, "caches"):
        return change(layer)
    changed = copy(layer)
    changed.caches = tuple(_each(each, change) for each in layer.caches)
    return changed


def _grows(layer: Layer) -> bool:
    """Whether it can be cut at any time; a window only until it is full."""
    return layer.is_trimmable() and not hasattr(layer, "max_size")


def _cut(layer: Layer, length: int) -> Layer:
    if layer.is_trimmable():
        layer.trim(layer.offset - length)
    return layer


def _own(layer: Layer) -> Layer:
    own = deepcopy(layer)
    if own.is_trimmable() and own.keys is not None:
        own.keys = own.keys[..., : own.offset, :]
        own.values = own.values[..., : own.offset, :]
    return own


def _borrowed(layer: Layer, longer: Layer, length: int) -> Layer:
    if not hasattr(layer, "caches"):
        return _cut(copy(longer), length) if _grows(layer) else layer
    changed = copy(layer)
    pairs = zip(layer.caches, longer.caches, strict=True)
    changed.caches = tuple(_borrowed(own, other, length) for own, other in pairs)
    return changed


def _arrays(state: State) -> Iterator[Array]:
    if hasattr(state, "nbytes"):
        yield state
    elif isinstance(state, list | tuple):
        for each in state:  # pyright: ignore[reportUnknownVariableType]
            yield from _arrays(each)


# -- What they cost ------------------------------------------------------------------


def cost_of(mx: ModuleType, model: Model, layers: list[Layer]) -> Cost:
    """Ask a model what its sequences cost; ``layers`` are new ones.

    mlx is lazy: a forward pass that nobody evaluates tells every shape.
    """
    model(mx.zeros((1, _STEP), mx.int32), cache=layers)
    constant = growing = 0
    windows: list[tuple[int, int]] = []  # bytes of a token, tokens
    for layer in _flat(layers):
        size: int = layer.nbytes
        if hasattr(layer, "max_size"):
            windows.append((size // _STEP, layer.max_size))
        elif _grows(layer):
            growing += size // _STEP
        else:
            constant += size

    def cost(longest: int, rows: int) -> int:
        tokens = -(-longest // _STEP) * _STEP
        kept = sum(size * min(tokens, window) for size, window in windows)
        return rows * (constant + growing * tokens + kept)

    return cost
