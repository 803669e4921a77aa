"""A vision model's two sides on one set of weights: mlx_vlm's reads pictures, mlx_lm's decodes.

mlx_lm's side is what all that is written for models of text works with, batches too. Where
mlx_lm does not know the model, or reckons otherwise, mlx_vlm's language part takes its place.

Nothing here imports mlx: whoever owns the GPU passes it in.
"""

import logging
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias, cast

log = logging.getLogger(__name__)

Module: TypeAlias = Any
"""An mlx.nn.Module."""

Array: TypeAlias = Any
"""An mlx.core.array."""

Layer: TypeAlias = Any
"""A cache of mlx_lm.models.cache."""

Parameters: TypeAlias = Any
"""Arrays in dicts and lists."""

Type: TypeAlias = Any
"""An mlx.core.Dtype."""

Flatten: TypeAlias = Callable[[Parameters], list[tuple[str, Array]]]
"""mlx.utils.tree_flatten."""


@dataclass(frozen=True, slots=True)
class VisionLibrary:
    """The parts of mlx_vlm that we use."""

    load_model: Callable[..., Module]
    load_processor: Callable[..., Any]
    family: Callable[[dict[str, Any]], tuple[Any, str]]  # the package of a configuration
    cache_classes: Mapping[str, type[Any]]  # of mlx_lm, by the names that mlx_vlm's have too
    arrays_cache: type[Any]  # mlx_vlm's own, which mlx_lm's cannot take the place of


_TRIED_TOKENS = 12
_LEAST_LIKENESS = 0.99  # cosine of the logits of both sides: 16-bit rounding leaves 0.999


class SeeingModel:
    """Looks like an mlx.nn.Module of mlx_lm to whoever loads and runs it.

    Args:
        vision: mlx_vlm's model, whose weights are the ones that count.
        text: mlx_lm's; None: it does not know the model.
        arrays_cache: see ``VisionLibrary``.
        apart: there were none for its language part: the text model's count there.
    """

    def __init__(
        self,
        mx: ModuleType,
        flatten: Flatten,
        vision: Module,
        text: Module | None,
        arrays_cache: type[Any],
        *,
        apart: bool,
    ) -> None:
        self.vision = vision
        self.language: Module = vision.language_model
        self._mx = mx
        self._flatten = flatten
        self._text = text
        self._arrays_cache = arrays_cache
        self._apart = apart
        self._share()

    # -- What mlx_lm and our loading use of a model -------------------------------

    def __call__(self, inputs: Array, cache: list[Layer]) -> Array:
        if self._text is None:
            return self.alone(inputs, cache, shift=0)
        return self._text(inputs, cache=cache)

    @property
    def decoder(self) -> Module:
        """The side that decodes."""
        return self.language if self._text is None else self._text

    @property
    def model(self) -> Module:
        """What makes hidden states of tokens."""
        return getattr(self.decoder, "language_model", self.decoder).model

    def parameters(self) -> Parameters:
        return self.vision.parameters()

    def set_dtype(self, dtype: Type) -> None:
        self.vision.set_dtype(dtype)
        if self._apart and self._text is not None:
            self._text.set_dtype(dtype)
        self._share()

    # -- The two sides --------------------------------------------------------------

    @property
    def shifts(self) -> bool:
        """Whether the positions behind a picture are fewer than the tokens (M-RoPE)."""
        return hasattr(self.language, "get_rope_index")

    @property
    def batches(self) -> bool:
        """Whether its sequences can decode in mlx_lm's batch."""
        return self._text is not None

    def alone(self, inputs: Array, cache: list[Layer], *, shift: int) -> Array:
        """Return the logits of some tokens (1, tokens) of one sequence, by mlx_vlm's side."""
        more: dict[str, Any] = {}
        if self.shifts:
            mx, count = self._mx, inputs.shape[1]
            begin = shift + next(layer.offset for layer in cache if hasattr(layer, "offset"))
            more["position_ids"] = mx.broadcast_to(mx.arange(begin, begin + count), (3, 1, count))
        return self.read(inputs, cache, **more)

    def read(self, inputs: Array, cache: list[Layer], **more: Any) -> Array:  # noqa: ANN401
        """The same, with ``more`` of what mlx_vlm's language part is given."""
        twins = [self._twin(layer) for layer in cache]
        logits = self.language(inputs, cache=twins, **more).logits
        for layer, twin in zip(cache, twins, strict=True):
            if twin is not layer:
                layer.cache = list(twin.cache)
        return logits

    def _twin(self, layer: Layer) -> Layer:
        """What mlx_vlm's side can write to: mostly the layer itself."""
        if type(layer).__name__ != "ArraysCache":
            return layer
        twin = self._arrays_cache(len(layer.cache))
        twin.cache = list(layer.cache)
        return twin

    def check(self, new_layers: Callable[[], list[Layer]], vocabulary_size: int) -> None:
        """Compare the sides on a few tokens, once the weights are there."""
        if self._text is None:
            return
        mx = self._mx
        step = max(1, vocabulary_size // _TRIED_TOKENS)
        tokens = mx.array([list(range(0, vocabulary_size, step))[:_TRIED_TOKENS]])
        ours = self._text(tokens, cache=new_layers()).astype(mx.float32)
        theirs = self.alone(tokens, new_layers(), shift=0).astype(mx.float32)
        norms = mx.linalg.norm(ours, axis=-1) * mx.linalg.norm(theirs, axis=-1)
        likeness = mx.min((ours * theirs).sum(axis=-1) / norms).item()
        if not likeness >= _LEAST_LIKENESS:
            log.warning("mlx_lm and mlx_vlm reckon otherwise with this model: no batches")
            self._text = None

    def _share(self) -> None:
        """Make mlx_lm's side use the arrays that mlx_vlm's has; or the other way round."""
        if self._text is None:
            return
        if self._apart:
            own = dict(self._flatten(self._text.parameters()))
            names = [name for name, _ in self._flatten(self.language.parameters())]
            self.language.load_weights([(name, own[name]) for name in names])
            return
        theirs = dict(self._flatten(self.vision.parameters()))
        ours = self._flatten(self._text.parameters())
        if any(name not in theirs or theirs[name].shape != own.shape for name, own in ours):
            log.warning("mlx_lm and mlx_vlm call the weights of this model otherwise: no batches")
            self._text = None
            return
        self._text.load_weights([(name, theirs[name]) for name, _ in ours])


def with_shift(layers: list[Layer], shift: int) -> list[Layer]:
    """Return the same state for a batch of a model that ``shifts``, to be read alone.

    Behind a picture all three axes of a text's positions have one number, so that is plain RoPE
    at another offset: which mlx_lm's BatchKVCache has for each row, apart from its length.
    """
    return [_shifted(layer, shift) for layer in layers]


def shift_of(layers: list[Layer]) -> int:
    return next((layer.shift for layer in layers if hasattr(layer, "shift")), 0)


def _shifted(layer: Layer, shift: int) -> Layer:
    if type(layer).__name__ != "KVCache":
        return layer
    own = copy(layer)
    plain = cast("type[Any]", type(layer))
    own.__class__ = _shifting(plain)
    own.shift = shift
    return own


@cache
def _shifting(plain: type[Any]) -> type[Any]:
    def merge(cls: type[Any], rows: list[Layer]) -> Layer:
        merged: Layer = plain.merge(rows)
        array = cast("Callable[[list[int]], Array]", type(merged.offset))
        merged.offset = merged.offset + array([row.shift for row in rows])
        return merged

    return type("ShiftedKVCache", (plain,), {"merge": classmethod(merge)})
