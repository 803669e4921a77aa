"""The size of a prefill chunk, changed for a measurement."""

from collections.abc import Generator
from contextlib import contextmanager
from unittest.mock import patch

from models.engine.mlx import grid_for
from models.engine.mlx_library import import_library
from models.engine.mlx_prefill import Grid


def chosen_chunk(engine: str) -> int:
    """Return what a small model is read by here, in tokens."""
    mx = import_library().mx
    return grid_for(mx.default_device() == mx.cpu, 0).chunk


@contextmanager
def set_chunk(engine: str, chunk: int) -> Generator[None]:
    """Models that are loaded meanwhile read their prompts by so many tokens."""
    with patch("models.engine.mlx.grid_for", return_value=Grid(chunk, chunk)):
        yield
