"""Which families of vision models the MLX engine's libraries know, told without importing them."""

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.engine.installed import has_mlx, has_mlx_vlm
from models.errors import LoadFailed
from models.model import Model

INSTALL = "pip install 'inglenook[vision]'"

# Read pictures in layers of their own, beside the text.
_APART = ("mllama",)
# What of mlx-vlm's packages for models imports packages that are left out of the installation
# (packaging/unused.txt).
_NEEDS = {"inkling": "mlx-audio", "multi_modality": "OpenCV", "nemotron_voicechat": "mlx-audio"}


def refuse_unknown(config: Mapping[str, Any], name: str) -> None:
    """Raises LoadFailed where a folder's vision model would never load. ``name``: the folder's.

    Where MLX is not installed nothing is said.
    """
    if not isinstance(config.get("vision_config"), dict) or not has_mlx():
        return
    if isinstance(program := config.get("model_file"), str):
        raise LoadFailed(
            f"{name} comes with a program of its own, {program}, and such programs are not run."
        )
    family = str(config.get("model_type", "")).lower()
    if family in _families("mlx_lm"):
        return  # it reads texts at least
    if not has_mlx_vlm():
        raise LoadFailed(f"{name} is a vision model ({family}) that only mlx-vlm knows: {INSTALL}.")
    if lacking := _lacking(family):
        raise LoadFailed(f"{name} cannot be used here: {lacking}.")


def why_blind(model: Model) -> str:
    """Why an MLX model that was made to see does not, in a sentence; "" where it does."""
    if not has_mlx_vlm():
        return f"It sees once mlx-vlm is installed: {INSTALL}."
    if model.profile.adapters:
        return "With an adapter it only reads texts on the MLX engine: take the adapter off."
    if lacking := _lacking(model.details.architecture):
        return f"It only reads texts here: {lacking}."
    return ""


@cache  # lists of models ask for each
def _lacking(family: str) -> str:
    """What keeps mlx-vlm from a family, as a clause."""
    family = family.lower()
    package = _renamed("mlx_vlm").get(family, family)
    if package in _NEEDS:
        return f"mlx-vlm's part for the type {family!r} needs {_NEEDS[package]}, which is left out"
    if package in _APART:
        return f"models of the type {family!r} read pictures in a way that is not supported yet"
    if family not in _families("mlx_vlm"):
        return f"mlx-vlm does not know the type {family!r}"
    return ""


@cache
def _families(library: str) -> frozenset[str]:
    folder = _folder(library) / "models"
    own = {each.stem for each in folder.iterdir() if each.suffix == ".py" or each.is_dir()}
    return frozenset(
        own | {name for name, own_name in _renamed(library).items() if own_name in own}
    )


@cache
def _renamed(library: str) -> Mapping[str, str]:
    """The types that a library has under another name: a table in its source."""
    tree = ast.parse((_folder(library) / "utils.py").read_text(encoding="utf-8"))
    for each in tree.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "MODEL_REMAPPING":
            return ast.literal_eval(each.value)
    return {}


def _folder(library: str) -> Path:
    spec = find_spec(library)
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])
