"""A picture's way through a vision tower, a piece at a time, so that others go on between.

mlx computes nothing before it must: the whole way is laid out at once, and what each part of a
layer gives is computed in its turn.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from time import monotonic
from types import ModuleType
from typing import Any, Generic, TypeAlias, TypeVar, cast

Module: TypeAlias = Any
"""An mlx.nn.Module."""

Array: TypeAlias = Any
"""An mlx.core.array."""

# A turn takes no less, where parts are quicker: each costs a step of those who decode.
_TURN_SECONDS = 0.02
# Parts are computed together where one would take less of that: waiting for each costs time too.
_LEAST_SHARE = 0.25
_LANGUAGE = "language_model"

_Made = TypeVar("_Made")


class Tower:
    """The layers of one loaded model that pictures go through. Only its lane's thread calls it."""

    def __init__(self, mx: ModuleType, vision: Module) -> None:
        self._mx = mx
        self._given: list[Array] = []  # by the parts of layers, since the way began
        for part in _parts_of_layers(vision):
            part.__class__ = _telling(_kind(part))
            part.tell = self._given.append
        _compute_later(mx, _kind(vision))

    def lay_out(
        self, make: Callable[[], _Made], arrays: Callable[[_Made], Iterable[Array]]
    ) -> "Way[_Made]":
        """Return the way to what is made, of which nothing is computed yet."""
        self._given.clear()
        made = make()
        steps = deque[Any](self._given)
        self._given.clear()
        steps.append(list(arrays(made)))
        return Way(self._mx, steps, made)


class Way(Generic[_Made]):
    def __init__(self, mx: ModuleType, steps: deque[Any], made: _Made) -> None:
        self._mx = mx
        self._steps = steps
        self._made = made
        self._at_once = 1

    def go_on(self) -> _Made | None:
        """Compute the next parts; None: there are more."""
        began = monotonic()
        while self._steps:
            before = monotonic()
            for _ in range(min(self._at_once, len(self._steps)) - 1):
                self._steps.popleft()  # the last of them needs it
            self._mx.eval(self._steps[0])
            self._steps.popleft()
            now = monotonic()
            if now - before < _LEAST_SHARE * _TURN_SECONDS:
                self._at_once *= 2
            elif now - before > _TURN_SECONDS:
                self._at_once = 1
            if self._steps and now - began >= _TURN_SECONDS:
                return None
        return self._made


def _parts_of_layers(node: Any) -> Iterator[Module]:  # noqa: ANN401 - a module, or of what it is
    """Of all layers that stand in a row of their kind, outside of the part that reads text."""
    if isinstance(node, dict):  # as a module is
        for name, inner in cast("dict[str, Any]", node).items():
            if name != _LANGUAGE:
                yield from _parts_of_layers(inner)
    elif isinstance(node, list):
        row = cast("list[Any]", node)
        alike = len(row) > 1 and isinstance(row[0], dict) and len(set(map(type, row))) == 1
        for inner in row:
            yield from _parts(inner) if alike else _parts_of_layers(inner)


def _parts(node: Any) -> Iterator[Module]:  # noqa: ANN401 - likewise
    """A module, and all that it is made of."""
    if isinstance(node, list):
        for inner in cast("list[Any]", node):
            yield from _parts(inner)
    elif isinstance(node, dict):
        if callable(cast("object", node)):
            yield node
        for inner in list(cast("dict[str, Any]", node).values()):
            yield from _parts(inner)


def _kind(module: Module) -> type[Any]:
    return cast("type[Any]", type(module))


def _first(given: Any) -> Array:  # noqa: ANN401 - what a layer gives: an array, or several
    return cast("tuple[Any, ...]", given)[0] if isinstance(given, tuple) else given


@cache
def _telling(plain: type[Any]) -> type[Any]:
    """Return a kind of module that tells what it gives."""

    def call(self: Any, *inputs: Any, **more: Any) -> Any:  # noqa: ANN401 - as the layer has it
        given: Any = plain.__call__(self, *inputs, **more)
        self.tell(_first(given))
        return given

    return type(plain.__name__, (plain,), {"__call__": call, "__module__": plain.__module__})


def _compute_later(mx: ModuleType, kind: type[Any]) -> None:
    """Keep a model's own module from having all computed at once, as some of mlx_vlm's do."""
    names = vars(sys.modules[kind.__module__])
    if names.get("mx") is mx:
        names["mx"] = _Later(mx)


class _Later(ModuleType):
    """mlx.core, but for ``eval``, which is only ever a matter of when."""

    def __init__(self, mx: ModuleType) -> None:
        super().__init__(mx.__name__)
        self._mx = mx

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it has
        return getattr(self._mx, name)

    def eval(self, *arrays: object) -> None: ...
