"""The models on this disk: list, find, add, alias and remove them.

    HOME/models/manifests/org+repo@tag.json   one small file a model name
    HOME/models/files/DIGEST/...              weights of our own: copied or downloaded
    HOME/models/partial/...                   downloads on their way (``models.hub``)

Weights that were imported in place stay where they are, and are never deleted. Several
processes may share a home: a name appears and goes in one rename, and what touches both
a manifest and its files does so under a lock.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from models import atomic, builtin, facts, manifest, weights
from models.errors import InferenceError, InvalidRequest, LoadFailed, ModelNotFound
from models.manifest import DamagedManifest, Manifest
from models.model import Kind, Model
from models.names import ModelName

log = logging.getLogger(__name__)

# What a killed process left is deleted after these. A download can be taken up again.
_DAY_SECONDS = 24 * 3600.0
_PARTIAL_SECONDS = 30 * _DAY_SECONDS


class Store:
    """Everything may be called from any thread. Nothing is kept in memory between calls."""

    def __init__(self, home: Path, builtin: Path | None) -> None:
        root = home / "models"
        self._manifests = root / "manifests"
        self._files = root / "files"
        self.partial = root / "partial"
        self._lock = root / ".lock"
        self._builtin_folder = builtin
        self._told_of: set[Path] = set()
        self._sweep()

    # -- Looking -------------------------------------------

    def list(self) -> list[Model]:
        """Return all models, the newest first and those that ship with the program last.

        A model whose files have gone is among them, so that it can be removed.
        """
        own = [each.model for each in self._read_all()[0]]
        own.sort(key=lambda model: model.modified_at, reverse=True)
        return [*own, *self._builtins]

    def find(self, name: str) -> Model:
        """Return the model of this name, in any spelling.

        Raises:
            InvalidModelName: it cannot be a name.
            ModelNotFound: there is no such model.
            LoadFailed: there was one, and its files or its record are gone.
        """
        wanted = ModelName.parse(name)
        for model in self._builtins:
            if model.name == wanted:
                return model
        try:
            model = self._read(self._manifest_path(wanted)).model
        except FileNotFoundError:
            raise ModelNotFound(name) from None
        except DamagedManifest:
            raise LoadFailed(
                f"The record of model {name!r} is damaged: import or pull it again."
            ) from None
        if not model.path.exists():
            raise LoadFailed(
                f"The files of model {name!r} are gone: {model.path} is not there any more. "
                "Put them back, or remove the model."
            )
        return model

    def owns(self, model: Model) -> bool:
        """Whether the model's files are our own, and not imported in place."""
        return model.path.is_relative_to(self._files)

    # -- Changing ------------------------------------------

    def import_path(self, path: Path, name: str, *, copy: bool = False) -> Model:
        """Add the GGUF file or MLX folder at ``path``, under ``name``.

        The files stay where they are, unless ``copy`` is set. A model that had the name
        is replaced.

        Raises:
            InvalidModelName, InvalidRequest: the name or the path will not do.
            LoadFailed: the files are damaged, or no model that we can run.
            OSError: the disk is full, or cannot be written.
        """
        wanted = self._free_name(name)
        path = Path(os.path.abspath(path.expanduser()))
        kind, details = facts.of(path)
        files = weights.files_of(path)
        if copy:
            return self._copy_in(wanted, path, files)
        model = Model(
            name=wanted,
            kind=kind,
            path=path,
            size_bytes=sum(each.stat().st_size for each in files),
            digest=weights.digest_of(weights.hashes_of(files)),
            modified_at=datetime.now(UTC),
            details=details,
        )
        with atomic.lock(self._lock):
            self._record(model, folder=None)
        return model

    def adopt(self, path: Path, name: str, hashes: Mapping[str, str]) -> Model:
        """Take a download, which must lie in a folder of its own under ``partial``.

        ``path`` is the GGUF file in that folder, or the folder itself. ``hashes`` are the
        SHA-256 of its files, by name.

        Raises: as ``import_path``.
        """
        return self._move_in(self._free_name(name), path, hashes)

    def copy(self, source: str, destination: str) -> Model:
        """Give a model a second name. The files are shared.

        Raises:
            InvalidModelName, InvalidRequest: ``destination`` will not do.
            ModelNotFound, LoadFailed: as ``find`` of ``source``.
        """
        wanted = self._free_name(destination)
        with atomic.lock(self._lock):
            model = self.find(source)
            folder = None if model.builtin else self._read(self._manifest_path(model.name)).folder
            alias = replace(model, name=wanted, modified_at=datetime.now(UTC), builtin=False)
            self._record(alias, folder)
        return alias

    def remove(self, name: str) -> None:
        """Forget a model, and delete its files if they are our own and nobody else's.

        Raises:
            InvalidModelName: it cannot be a name.
            ModelNotFound: there is no such model.
            InvalidRequest: it ships with the program.
        """
        wanted = ModelName.parse(name)
        self._refuse_builtin(wanted, "removed")
        with atomic.lock(self._lock):
            try:
                self._manifest_path(wanted).unlink()
            except FileNotFoundError:
                raise ModelNotFound(name) from None
            self._delete_unused()

    # -- Inside --------------------------------------------

    @cached_property
    def _builtins(self) -> Sequence[Model]:
        if self._builtin_folder is None:
            return ()
        try:
            return builtin.read(self._builtin_folder)
        except (InferenceError, OSError):  # half an installation: the rest of it may do
            log.exception("The model that ships with the program cannot be read")
            return ()

    def _copy_in(self, name: ModelName, path: Path, files: Sequence[Path]) -> Model:
        self._files.mkdir(parents=True, exist_ok=True)
        check_room(self._files, sum(each.stat().st_size for each in files))
        folder = atomic.temporary_beside(self._files / "new")
        folder.mkdir()
        try:
            hashes = weights.copy(files, folder)
            return self._move_in(name, folder if path.is_dir() else folder / path.name, hashes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _move_in(self, name: ModelName, path: Path, hashes: Mapping[str, str]) -> Model:
        """Make a folder of weights our own, under their digest, and record it."""
        kind, details = facts.of(path)
        folder = path.parent if kind is Kind.LLAMA else path
        if kind is Kind.LLAMA and len(hashes) == 1:  # the digest knows no name: nor may we
            path = path.rename(folder / "model.gguf")
        weights.flush(folder)
        digest = weights.digest_of(hashes)
        own = self._files / digest
        model = Model(
            name=name,
            kind=kind,
            path=own / path.name if kind is Kind.LLAMA else own,
            size_bytes=_folder_bytes(folder),
            digest=digest,
            modified_at=datetime.now(UTC),
            details=details,
        )
        self._files.mkdir(parents=True, exist_ok=True)
        with atomic.lock(self._lock):
            if own.exists() and _folder_bytes(own) != model.size_bytes:
                atomic.remove_tree(own)  # somebody has damaged it
            if own.exists():
                atomic.remove_tree(folder)
            else:
                os.replace(folder, own)
                atomic.sync_folder(self._files)
            self._record(model, folder=digest)
        return model

    def _record(self, model: Model, folder: str | None) -> None:
        """Called under the lock: with the manifest, a folder of our own comes into use."""
        atomic.write(self._manifest_path(model.name), manifest.encode(Manifest(model, folder)))
        self._delete_unused()  # of a model that had the name before

    def _free_name(self, name: str) -> ModelName:
        """Parse a name for a new model, in the spelling of an older one that has it.

        Raises:
            InvalidModelName, InvalidRequest: it is no name, or one of ours.
        """
        wanted = ModelName.parse(name)
        self._refuse_builtin(wanted, "replaced")
        try:
            return self._read(self._manifest_path(wanted)).model.name
        except (FileNotFoundError, DamagedManifest):
            return wanted

    def _refuse_builtin(self, name: ModelName, verb: str) -> None:
        if any(model.name == name for model in self._builtins):
            raise InvalidRequest(
                f"Model '{name}' ships with Inglenook and cannot be {verb}.", field="model"
            )

    def _manifest_path(self, name: ModelName) -> Path:
        # Neither character is ever part of a name, or forbidden in a file's name.
        return self._manifests / (name.key.replace("/", "+").replace(":", "@") + ".json")

    def _read(self, path: Path) -> Manifest:
        return manifest.decode(path.read_bytes(), self._files)

    def _read_all(self) -> tuple[Sequence[Manifest], bool]:
        """Return the manifests, and whether all of them could be read."""
        found: list[Manifest] = []
        whole = True
        for path in self._manifests.glob("*.json"):
            try:
                found.append(self._read(path))
            except FileNotFoundError:
                pass  # removed since
            except (DamagedManifest, OSError) as error:
                whole = False
                if path not in self._told_of:
                    self._told_of.add(path)
                    log.warning("%s is not a model's record: %s", path, error)
        return found, whole

    def _delete_unused(self) -> None:
        """Delete weights of our own that no manifest names. Called under the lock."""
        manifests, whole = self._read_all()
        if not whole or not self._files.is_dir():
            return  # one that cannot be read may name any of them
        used = {each.folder for each in manifests}
        for folder in self._files.iterdir():
            if folder.name not in used and not folder.name.startswith("."):
                atomic.remove_tree(folder)

    def _sweep(self) -> None:
        try:
            for folder in (self._manifests, self._files, self.partial):
                atomic.sweep(folder, _DAY_SECONDS)
            if self.partial.is_dir():
                for download in self.partial.iterdir():
                    if atomic.age_seconds(download) > _PARTIAL_SECONDS:
                        atomic.remove_tree(download)
            if self._files.is_dir():
                with atomic.lock(self._lock):
                    self._delete_unused()
        except OSError:
            log.exception("What an earlier run left behind could not be cleared away")


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises LoadFailed where the disk has no room for that much more."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise LoadFailed(
            f"The disk is too full: the model needs {needed_bytes / 1e9:.1f} GB, "
            f"and {free / 1e9:.1f} GB are free."
        )


def _folder_bytes(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())
