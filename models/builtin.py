"""The model that ships with the program, as the store shows it."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import resources
from models import facts, weights
from models.engine.installed import has_mlx
from models.model import Model
from models.names import ModelName

FOLDER = Path(resources.__file__).with_name("pocket")
_SUMS = "SHA256SUMS"  # as sha256sum writes and checks it
_DESCRIPTION = (
    "A very small language model that ships with Inglenook, to try the set-up with. "
    "It knows a few facts and forms of answer, and little else."
)


def read(folder: Path) -> list[Model]:
    """Return what is in ``folder``, once for each engine that can run it here.

    ``pocket:latest`` is the one for the engine that serves best: MLX on Apple silicon,
    llama.cpp elsewhere. The other is ``pocket:gguf`` or ``pocket:mlx``; without MLX
    there is no other.
    """
    gguf_path, mlx_path = folder / "gguf" / "pocket.gguf", folder / "mlx"
    sums = _sums(folder)
    if not has_mlx():
        return [_model("latest", gguf_path, sums)]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return [_model("latest", mlx_path, sums), _model("gguf", gguf_path, sums)]
    return [_model("latest", gguf_path, sums), _model("mlx", mlx_path, sums)]


def _sums(folder: Path) -> Mapping[Path, str]:
    """Return the SHA-256 of the files that were told when they were made."""
    path = folder / _SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {folder / name: sha256 for sha256, name in pairs}


def _model(tag: str, path: Path, sums: Mapping[Path, str]) -> Model:
    found = facts.read(path)
    folder, names = found.files.folder, weights.names_of(found.files)
    hashes = {name: sums.get(folder / name) or weights.hash_of(folder / name) for name in names}
    return Model(
        name=ModelName("pocket", tag=tag),
        kind=found.kind,
        files=found.files,
        size_bytes=weights.size_of(folder, names),
        digest=weights.digest_of(hashes),
        modified_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        details=replace(found.details, description=_DESCRIPTION),
        builtin=True,
    )
