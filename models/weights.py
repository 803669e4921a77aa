"""The files that make up one model: which they are, their digest, copying them."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from models import gguf

_CHUNK_BYTES = 4 << 20
# What mlx_lm and transformers read of a folder besides weights: settings, tokenizer, template.
_MLX_SUFFIXES = (".json", ".jinja", ".model", ".txt", ".tiktoken")


def files_of(path: Path) -> list[Path]:
    """Return the files of the GGUF file or MLX folder at ``path``, sorted by name.

    Raises:
        LoadFailed: it is one of several GGUF shards, and others are missing.
    """
    if not path.is_dir():
        return gguf.shards(path)
    return sorted(each for each in path.iterdir() if is_mlx_file(each.name) and each.is_file())


def is_mlx_file(name: str) -> bool:
    """Whether a file of this name in a repository belongs to an MLX model."""
    if name.startswith(".") or "/" in name or "\\" in name:
        return False
    if name.endswith(".safetensors"):
        return name.startswith("model")  # beside them lie adapters, and weights in other layouts
    return name.endswith(_MLX_SUFFIXES)


def digest_of(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 for a model, from those of its files by name.

    A single file's is its own, as with Ollama; for several it is that of the list.
    """
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = (f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hashes_of(files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name."""
    return {path.name: hash_of(path) for path in files}


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(files: Iterable[Path], folder: Path) -> dict[str, str]:
    """Copy files into ``folder``; return the SHA-256 of each, by its name."""
    hashes: dict[str, str] = {}
    for path in files:
        sha = hashlib.sha256()
        with path.open("rb") as source, (folder / path.name).open("wb") as target:
            while chunk := source.read(_CHUNK_BYTES):
                sha.update(chunk)
                target.write(chunk)
        hashes[path.name] = sha.hexdigest()
    return hashes


def flush(folder: Path) -> None:
    """Make the files in ``folder`` last through a power cut."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
