"""The built-in model on each engine, as tests that ask for it name it."""

import pytest

from models.engine.installed import has_mlx

needs_mlx = pytest.mark.skipif(not has_mlx(), reason="MLX is not installed here")
both_engines = pytest.mark.parametrize(
    "model", ["pocket:latest", pytest.param("pocket:mlx", marks=needs_mlx)]
)
