"""Which engine is installed, asked without importing anything of it."""

from importlib.util import find_spec


def has_mlx() -> bool:
    return find_spec("mlx") is not None and find_spec("mlx_lm") is not None


def has_mlx_vlm() -> bool:
    return has_mlx() and find_spec("mlx_vlm") is not None
