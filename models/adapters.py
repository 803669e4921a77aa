"""LoRA adapters: how they are written down, where their files are, and whether they are any.

Whether an adapter fits a model shows when the model is loaded: the engines compare tensors.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from models import gguf
from models.errors import LoadFailed
from models.json_file import read_object
from models.model import Adapter, Kind, Model

_SCALED = re.compile(r"(?P<path>.+)@(?P<scale>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)")
# What mlx_lm reads of a folder (mlx_lm/tuner/utils.py, load_adapters).
_MLX_CONFIG = "adapter_config.json"
_MLX_WEIGHTS = "adapters.safetensors"


def parse(text: str) -> tuple[Adapter, ...]:
    """Read ``PATH[@SCALE][,PATH[@SCALE]…]``; a path that is not absolute is below this folder.

    Raises:
        ValueError: a scale is no number.
    """
    return tuple(_parsed(each.strip()) for each in text.split(",") if each.strip())


def written(adapters: Sequence[Adapter]) -> str:
    """Return what ``parse`` would take."""
    return ",".join(
        str(each.path)
        if each.scale == 1.0 and not _SCALED.fullmatch(str(each.path))
        else f"{each.path}@{each.scale}"
        for each in adapters
    )


def files_of(adapter: Adapter, kind: Kind) -> list[Path]:
    """Return the files of which an adapter is made, whether they are there or not."""
    if kind is Kind.MLX:
        return [adapter.path / _MLX_CONFIG, adapter.path / _MLX_WEIGHTS]
    return [adapter.path]


def bytes_of(adapters: Sequence[Adapter], kind: Kind) -> int:
    """Return how much of them there is: nothing of what is missing."""
    files = [path for each in adapters for path in files_of(each, kind)]
    return sum(path.stat().st_size for path in files if path.is_file())


def check(model: Model, adapters: Sequence[Adapter]) -> None:
    """Raises LoadFailed where the model's engine could not so much as open them."""
    if model.kind is Kind.MLX:
        _check_for_mlx(model, adapters)
    for adapter in adapters:
        if not adapter.path.exists():
            raise LoadFailed(
                f"The adapter {adapter.path.name} of model '{model.name}' is missing: "
                f"{adapter.path} is not there."
            )
        if model.kind is Kind.MLX:
            _check_folder(adapter.path)
        else:
            _check_gguf(adapter.path)


def _parsed(text: str) -> Adapter:
    found = _SCALED.fullmatch(text)
    scale = float(found["scale"]) if found else 1.0
    if not math.isfinite(scale):
        raise ValueError(text)
    path = Path(found["path"] if found else text)
    return Adapter(path.expanduser().absolute(), scale)


def _check_gguf(path: Path) -> None:
    try:
        about = gguf.read(path).metadata
    except LoadFailed as error:  # its sentence begins with the file's name
        raise LoadFailed(f"The adapter {error}") from None
    if (about.get("general.type"), about.get("adapter.type")) != ("adapter", "lora"):
        raise LoadFailed(f"The file {path.name} is no LoRA adapter, although it is a GGUF file.")


def _check_for_mlx(model: Model, adapters: Sequence[Adapter]) -> None:
    if adapters and not model.details.completes:
        raise LoadFailed(
            f"MLX puts adapters on models that write texts, and '{model.name}' makes vectors."
        )
    if len(adapters) > 1:
        raise LoadFailed(f"MLX puts one adapter on a model, and '{model.name}' has several.")
    if any(each.scale != 1.0 for each in adapters):
        raise LoadFailed(
            f"MLX takes an adapter's scale from its {_MLX_CONFIG}: change it there, and leave "
            f"'@SCALE' out for '{model.name}'."
        )


def _check_folder(folder: Path) -> None:
    """Say what is not as mlx_lm writes it; it would raise AttributeError or KeyError."""
    if not folder.is_dir():
        raise LoadFailed(
            f"The adapter {folder.name} is no folder: for MLX it is one, with {_MLX_CONFIG} "
            f"and {_MLX_WEIGHTS}."
        )
    try:
        config = read_object(folder / _MLX_CONFIG)
    except LoadFailed as error:
        raise LoadFailed(f"The adapter {folder.name} cannot be used: {error}") from None
    if "peft_type" in config:
        raise LoadFailed(f"The adapter {folder.name} is in PEFT's format: convert it to mlx_lm's.")
    if config.get("fine_tune_type", "lora") != "full":
        found = config.get("lora_parameters")
        keys = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        lacking = [key for key in ("rank", "scale", "dropout") if key not in keys]
        if not isinstance(config.get("num_layers"), int):
            lacking.insert(0, "num_layers")
        if lacking:
            raise LoadFailed(
                f"The adapter {folder.name} cannot be used: its {_MLX_CONFIG} lacks "
                f"{', '.join(lacking)}."
            )
    if not (folder / _MLX_WEIGHTS).is_file():
        raise LoadFailed(f"The adapter {folder.name} has no {_MLX_WEIGHTS}.")
