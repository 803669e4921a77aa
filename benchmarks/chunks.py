"""The size of a prefill chunk, changed for a measurement."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import patch


def chosen_chunk(engine: str) -> int:
    return import_module("models.engine.mlx")._PREFILL_STEP_TOKENS


@contextmanager
def set_chunk(engine: str, chunk: int) -> Generator[None]:
    """Models that are loaded meanwhile read their prompts by so many tokens."""
    with patch("models.engine.mlx._PREFILL_STEP_TOKENS", chunk):
        yield
