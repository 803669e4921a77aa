"""The size of a prefill chunk, changed for a measurement."""

from collections.abc import Generator
from contextlib import contextmanager
from unittest.mock import patch

from models.engine.llama_process import prefill_chunk_tokens
from models.engine.mlx_library import import_library
from models.engine.mlx_model import grid_for
from models.engine.mlx_prefill import Grid


def chosen_chunk(engine: str) -> int:
    """Return what a small model is read by here, in tokens."""
    if engine == "llama":
        return prefill_chunk_tokens()
    mx = import_library().mx
    return grid_for(mx.default_device() == mx.cpu, 0).chunk


@contextmanager
def set_chunk(engine: str, chunk: int) -> Generator[None]:
    """Models that are loaded meanwhile read their prompts by so many tokens."""
    where, value = "models.engine.mlx_model.grid_for", Grid(chunk, chunk)
    if engine == "llama":
        where, value = "models.engine.llama_process.prefill_chunk_tokens", chunk
    with patch(where, return_value=value):
        yield
