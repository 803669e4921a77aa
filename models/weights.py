"""Files of models: which make one up, their digest, and the folder of those that are our own."""

import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path, PurePath

from models import atomic, disk, gguf
from models.errors import InvalidRequest
from models.model import Files

_CHUNK_BYTES = 4 << 20
# What mlx_lm and transformers read of a folder besides weights: settings, tokenizer, template.
_MLX_SUFFIXES = (".json", ".jinja", ".model", ".txt", ".tiktoken")
# Of a model's folders alone these have something that it needs: templates, the pooling, and eyes.
_MLX_FOLDERS = ("additional_chat_templates/*.jinja", "*_Pooling/config.json", "vision/*")
_ALONE = "model.gguf"  # a digest knows no name, and so we may know none where there is one file


def names_of(files: Files) -> list[str]:
    """Return the names of all files of a model, below its folder and with "/", sorted.

    Raises:
        LoadFailed: it is one of several GGUF shards, and others are missing.
    """
    folder = files.folder
    if files.main:
        found = [path.name for path in gguf.shards(files.path)]
        found += [files.projector] if files.projector else []
        return sorted(found)
    found = [each.name for each in folder.iterdir() if is_mlx_file(each.name) and each.is_file()]
    for pattern in _MLX_FOLDERS:
        found += [each.relative_to(folder).as_posix() for each in folder.glob(pattern)]
    return sorted(found)


def is_mlx_file(name: str) -> bool:
    """Whether a file of this name in a repository belongs to an MLX model."""
    if name.startswith(".") or "/" in name or "\\" in name:
        return False
    if name.endswith(".safetensors"):
        return name.startswith("model")  # beside them lie adapters, and weights in other layouts
    return name.endswith(_MLX_SUFFIXES)


def check_names(paths: Iterable[PurePath | str]) -> None:
    """Raises InvalidRequest where an engine could not open a file: not even name it."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"The name {str(path)!r} is not in UTF-8, and the engines cannot open it: "
                "rename it."
            ) from None


def size_of(folder: Path, names: Iterable[str]) -> int:
    return sum((folder / name).stat().st_size for name in names)


def digest_of(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 for a model, from those of its files by name.

    A single file's is its own, as with Ollama; for several it is that of the list.
    """
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = (f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hashes_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name."""
    return {name: hash_of(folder / name) for name in names}


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(names: Iterable[str], source: Path, target: Path) -> dict[str, str]:
    """Copy files from one folder to another; return the SHA-256 of each, by its name."""
    hashes: dict[str, str] = {}
    for name in names:
        sha = hashlib.sha256()
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with (source / name).open("rb") as old, (target / name).open("wb") as new:
            while chunk := old.read(_CHUNK_BYTES):
                sha.update(chunk)
                new.write(chunk)
        hashes[name] = sha.hexdigest()
    return hashes


class Weights:
    """The files that are our own: one folder a model, with the model's digest for a name.

    Whoever brings a folder into use or out of it holds the store's lock meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def owns(self, files: Files) -> bool:
        return files.folder.is_relative_to(self.folder)

    @contextmanager
    def new_folder(self, size_bytes: int) -> Generator[Path]:
        """Give an empty folder with room for so much, which goes if it is not adopted.

        Raises:
            DiskFull: there is no room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        disk.check_room(self.folder, size_bytes)
        folder = atomic.temporary_beside(self.folder / "new")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def prepare(self, files: Files) -> Files:
        """Make a folder ready to be adopted: it will last through a power cut.

        A GGUF file that is alone gets the name that such files have here.
        """
        present = list(_files_in(files.folder))
        if len(present) == 1:
            os.rename(files.path, files.folder / _ALONE)
            files = Files(files.folder, _ALONE)
        for path in _files_in(files.folder):
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        return files

    def adopt(self, folder: Path, digest: str) -> Path:
        """Move a folder that is ready to where it belongs; return where it is then."""
        own = self.folder / digest
        self.folder.mkdir(parents=True, exist_ok=True)
        if own.exists() and bytes_in(own) != bytes_in(folder):
            atomic.remove_tree(own)  # somebody has damaged it
        if own.exists():
            atomic.remove_tree(folder)
        else:
            os.replace(folder, own)
            atomic.sync_folder(self.folder)
        return own

    def all_but(self, used: AbstractSet[str | None]) -> list[Path]:
        """Return the folders whose names are not among ``used``."""
        if not self.folder.is_dir():
            return []
        return [
            folder
            for folder in self.folder.iterdir()
            if folder.name not in used and not folder.name.startswith(".")
        ]


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder, and in those below it."""
    return sum(path.stat().st_size for path in _files_in(folder))


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
