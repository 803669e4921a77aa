"""Layers of mlx_lm are shared without a copy, and copied where that saves memory."""

from functools import cache
from typing import Any

import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_layers import Layers, cost_of
from models.engine.mlx_library import import_library
from tests.models.engine.mlx_models import KINDS, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

model_of = cache(make_model)


def read(kind: str, count: int) -> tuple[Any, list[Any]]:
    """What there is to handle layers with, and the layers after so many tokens."""
    library = import_library()
    layers = library.make_prompt_cache(model_of(kind))
    go_on(kind, layers, count)
    return Layers(library.mx), layers


def go_on(kind: str, layers: list[Any], count: int) -> None:
    mx = import_library().mx
    for start in range(0, count, 32):
        model_of(kind)(mx.arange(start, min(start + 32, count))[None] % 512, cache=layers)
        mx.eval([layer.state for layer in layers])


def size(handling: Layers, layers: list[Any]) -> int:
    return sum(handling.arrays(layers).values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_sequence_costs_is_known_before_there_is_one(kind: str) -> None:
    library = import_library()
    model = model_of(kind)
    cost = cost_of(library.mx, model, library.make_prompt_cache(model))
    handling, layers = read(kind, 512)

    assert size(handling, layers) * 0.6 <= cost(512, 1) <= size(handling, layers)
    assert cost(512, 3) == 3 * cost(512, 1)


def test_a_view_takes_no_memory_of_its_own() -> None:
    handling, layers = read("llama", 600)

    view = handling.view(layers, 100)

    assert [layer.offset for layer in view] == [100] * 2
    assert handling.arrays(view) == handling.arrays(layers)


def test_to_go_on_from_a_short_view_copies_nothing_of_what_is_behind_it() -> None:
    handling, layers = read("llama", 2000)
    before = [layer.keys.tolist() for layer in layers]

    own = handling.fork(handling.view(layers, 100))
    go_on("llama", own, 10)

    assert size(handling, own) < size(handling, layers) / 4
    assert [layer.keys.tolist() for layer in layers] == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_borrowed_state_that_is_made_compact_is_the_same_and_smaller(kind: str) -> None:
    handling, layers = read(kind, 100)
    marked = handling.mark(layers)
    go_on(kind, layers, 900)

    borrowed = handling.borrow(marked, layers, 100)
    compact = handling.compact(borrowed)

    _, expected = read(kind, 100)
    for found in (borrowed, compact):
        assert next_logits(kind, found) == next_logits(kind, expected)
    grows = kind != "mamba2"
    assert (size(handling, compact) < size(handling, borrowed) / 2) == grows


def next_logits(kind: str, layers: list[Any]) -> list[float]:
    library = import_library()
    own = Layers(library.mx).fork(layers)
    return model_of(kind)(library.mx.array([[7]]), cache=own)[0, -1].tolist()
