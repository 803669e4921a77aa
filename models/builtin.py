"""The model that ships with the program, as the store shows it."""

import platform
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from models import facts, weights
from models.model import Model
from models.names import ModelName

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
    if find_spec("mlx_lm") is None:
        return [_model("latest", gguf_path)]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return [_model("latest", mlx_path), _model("gguf", gguf_path)]
    return [_model("latest", gguf_path), _model("mlx", mlx_path)]


def _model(tag: str, path: Path) -> Model:
    kind, details = facts.of(path)
    files = weights.files_of(path)
    return Model(
        name=ModelName("pocket", tag=tag),
        kind=kind,
        path=path,
        size_bytes=sum(each.stat().st_size for each in files),
        digest=weights.digest_of(weights.hashes_of(files)),
        modified_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        details=replace(details, description=_DESCRIPTION),
        builtin=True,
    )
