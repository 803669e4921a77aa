"""The library: the only file that imports mlx, and what is set and undone there.

It does so when the first model is opened, on the lane's thread: mlx_lm brings transformers
along and takes seconds.
"""

import ctypes
import gc
import logging
import platform
import sys
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from models.engine.mlx_load import Library, first_line
from models.engine.mlx_seeing import VisionLibrary
from models.errors import LoadFailed

log = logging.getLogger(__name__)

# Freed buffers that MLX keeps for the next array. Without a limit they grow with every
# new shape (38 GB have been seen).
_CACHE_LIMIT_BYTES = 2 << 30


def import_library() -> Library:
    try:
        return _library()
    except Exception as error:
        log.exception("MLX cannot be imported")
        raise LoadFailed(f"MLX cannot be used on this computer: {first_line(error)}") from None


@cache
def _library() -> Library:
    mx = import_module("mlx.core")
    # ``import mlx_lm.generate as generate`` would give the function of that name.
    generate = import_module("mlx_lm.generate")
    utils = import_module("mlx_lm.utils")
    caches = import_module("mlx_lm.models.cache")
    _never_wire_memory(generate)
    _keep_transformers_quiet()
    mx.set_cache_limit(_CACHE_LIMIT_BYTES)
    return Library(
        mx=mx,
        new_batch=generate.BatchGenerator,
        load_model=utils.load_model,
        load_adapters=utils.load_adapters,
        model_classes=vars(utils)["_get_classes"],
        load_tokenizer=utils.load_tokenizer,
        make_prompt_cache=caches.make_prompt_cache,
        load_layers=caches.load_prompt_cache,
        flatten=import_module("mlx.utils").tree_flatten,
    )


def import_vision() -> VisionLibrary:
    """Raises LoadFailed where mlx_vlm is not installed, or does not work here."""
    try:
        return _vision_library()
    except Exception as error:
        log.exception("mlx_vlm cannot be imported")
        raise LoadFailed(f"mlx-vlm cannot be used on this computer: {first_line(error)}") from None


@cache
def _vision_library() -> VisionLibrary:
    _keep_processors_off_mlx(import_module("mlx_vlm.models.base"))  # which processors import
    utils = import_module("mlx_vlm.utils")
    caches = import_module("mlx_lm.models.cache")
    return VisionLibrary(
        load_model=utils.load_model,
        load_processor=utils.load_processor,
        family=utils.get_model_and_args,
        cache_classes={
            name: vars(caches)[name] for name in ("KVCache", "RotatingKVCache", "ArraysCache")
        },
        arrays_cache=import_module("mlx_vlm.models.cache").ArraysCache,
    )


def _keep_processors_off_mlx(base: ModuleType) -> None:
    """Have them give numpy arrays: they work on threads that call nothing of mlx."""
    name = "to_mlx"
    if name not in vars(base):
        raise RuntimeError(f"this release of mlx_vlm has no {name}")

    def leave_it(data: dict[str, Any]) -> dict[str, Any]:
        return data

    vars(base)[name] = leave_it


def _never_wire_memory(generate: ModuleType) -> None:
    """Keep mlx_lm from ``mx.set_wired_limit``: see docs/decisions/mlx-wired-memory.md."""
    name = "maybe_set_recommended_wired_limit"
    if name not in vars(generate):
        raise RuntimeError(f"this release of mlx_lm has no {name}")

    def leave_it() -> None:  # what it answers where the computer recommends no limit
        return None

    vars(generate)[name] = leave_it


def _keep_transformers_quiet() -> None:
    """Its advice on configurations is for those who write them, and goes to the terminal."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def end_thread() -> None:
    """The last act of a thread that used MLX: without it the process aborts at its exit.

    Harmless where MLX was never imported.
    """
    free()
    if mx := sys.modules.get("mlx.core"):
        mx.clear_streams()


def free() -> None:
    """Give back the memory of what nobody refers to any more."""
    gc.collect()
    if mx := sys.modules.get("mlx.core"):
        mx.clear_cache()
        _trim()


def _trim() -> None:
    """Have the C library give back what it keeps of what was freed, where it keeps it.

    On a CPU mlx takes its arrays from malloc, and glibc keeps those that are below its own
    threshold, which is up to 32 MB.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
