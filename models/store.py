"""The models on this disk: list, find, add, alias and remove them.

    HOME/models/manifests/org+repo@tag.json   one small file a model name
    HOME/models/files/DIGEST/...              weights of our own: copied or downloaded
    HOME/models/partial/...                   downloads on their way (``models.hub``)
    HOME/models/blobs/sha256-...              files that were sent, to make models of
    HOME/cache/prompts/...                    what they remember (``models.prompt_folder``)

Weights that were imported in place stay where they are, and are never deleted. Several
processes may share a home: a name appears and goes in one rename, and what touches both
a manifest and its files does so under a lock.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from models import atomic, builtin, facts, weights
from models.blobs import Blobs
from models.disk import room_needed
from models.errors import InferenceError, InvalidRequest, ModelNotFound
from models.facts import Found
from models.manifest import DamagedManifest, Manifest, NewerManifest
from models.manifests import Manifests
from models.model import Adapter, Making, Model, Profile
from models.names import ModelName
from models.prompt_folder import PromptFolder
from models.weights import Weights

log = logging.getLogger(__name__)

# What a killed process left is deleted after these. A download can be taken up again.
_DAY_SECONDS = 24 * 3600.0
_PARTIAL_SECONDS = 30 * _DAY_SECONDS


class Store:
    """Everything may be called from any thread. Looking writes nothing and takes no lock.

    ``builtin`` is the folder of the model that ships with the program, if one does.
    """

    def __init__(self, home: Path, builtin: Path | None) -> None:
        root = home / "models"
        self.partial = root / "partial"
        self._weights = Weights(root / "files")
        self._manifests = Manifests(root / "manifests", root / "files")
        self.blobs = Blobs(root / "blobs", root / "files")
        self._prompts = PromptFolder(home)
        self._lock = root / ".lock"
        self._builtin_folder = builtin

    # -- Looking -------------------------------------------

    def list(self) -> list[Model]:
        """Return all models, the newest first and those that ship with the program last.

        A model whose files have gone is among them, so that it can be removed.
        """
        return [*(each.model for each in self._manifests.all().found), *self._builtins]

    def find(self, name: str) -> Model:
        """Return the model of this name, in any spelling.

        Raises:
            InvalidModelName: it cannot be a name.
            ModelNotFound: there is no such model.
            LoadFailed: there is one, and its files or its record are gone or unknown to us.
        """
        wanted = ModelName.parse(name)
        for model in self._builtins:
            if model.name == wanted:
                return model
        return self._manifests.installed(name)

    def owns(self, model: Model) -> bool:
        """Whether the model's files are our own, and not imported in place."""
        return self._weights.owns(model.files)

    # -- Changing ------------------------------------------

    def free_name(self, name: str) -> ModelName:
        """Parse a name for a new model, in the spelling of an older one that has it.

        Raises:
            InvalidModelName, InvalidRequest: it is no name, or one of ours, or taken by
                a model that only a newer program knows.
        """
        wanted = ModelName.parse(name)
        self._refuse_builtin(wanted, "replaced")
        try:
            return self._manifests.find(wanted).model.name
        except (FileNotFoundError, DamagedManifest):
            return wanted
        except NewerManifest:
            raise InvalidRequest(
                f"Model '{name}' was written by a newer Inglenook: update this one, "
                "remove the model, or choose another name.",
                field="model",
            ) from None

    def import_path(
        self, path: Path, name: str, *, copy: bool = False, making: Making | None = None
    ) -> Model:
        """Add the GGUF file or MLX folder at ``path``, under ``name``.

        The files stay where they are, unless ``copy`` is set. A model that had the name
        is replaced, and one of the same kind leaves its profile.

        Raises:
            InvalidModelName, InvalidRequest: the name or the path will not do.
            LoadFailed: the files are damaged, or no model that we can run.
            DiskFull: there is no room for them.
            OSError: the disk cannot be read or written.
        """
        wanted = self.free_name(name)
        path = Path(os.path.abspath(path.expanduser()))
        found = facts.read(path)
        folder = found.files.folder
        names = weights.names_of(found.files)
        with room_needed():
            if copy:
                with self._weights.new_folder(weights.size_of(folder, names)) as target:
                    hashes = weights.copy(names, folder, target)
                    files = replace(found.files, folder=target)
                    return self._move_in(wanted, replace(found, files=files), hashes, making)
            weights.check_names([path, *names])
            digest = weights.digest_of(weights.hashes_of(folder, names))
            model = found.model(wanted, weights.size_of(folder, names), digest)
            with atomic.lock(self._lock):
                model = self._used(model, making)
                self._record(Manifest(model, None, facts.VERSION))
        return model

    def new_folder(self, size_bytes: int) -> AbstractContextManager[Path]:
        """As ``Weights.new_folder``: what is brought into it can be adopted."""
        return self._weights.new_folder(size_bytes)

    def adopt(
        self, path: Path, name: str, hashes: Mapping[str, str], making: Making | None = None
    ) -> Model:
        """Take what has been brought into a folder of its own, on the store's disk.

        ``path`` is the GGUF file in it, or the folder; ``hashes`` are the SHA-256 of its files,
        by name. Without ``making`` it gets the profile of the one of its kind that had its name.

        Raises: as ``import_path``.
        """
        with room_needed():
            return self._move_in(self.free_name(name), facts.read(path), hashes, making)

    def copy(self, source: str, destination: str, making: Making | None = None) -> Model:
        """Give a model a second name, used as the first or in another way. Files are shared.

        Raises:
            InvalidModelName, InvalidRequest: ``destination`` will not do.
            ModelNotFound, LoadFailed: as ``find`` of ``source``.
            DiskFull: there is no room for the record.
        """
        wanted = self.free_name(destination)
        with room_needed(), atomic.lock(self._lock):
            model = self.find(source)
            written = None if model.builtin else self._manifests.find(model.name)
            alias = replace(model, name=wanted, modified_at=datetime.now(UTC), builtin=False)
            if making:
                alias = self._used(alias, making)
            self._record(
                Manifest(alias, None, facts.VERSION)
                if written is None
                else replace(written, model=alias)
            )
        return alias

    def set_profile(self, name: str, profile: Profile) -> Model:
        """Have a model used in another way from its next request on.

        Where its context, KV type or adapters change, that request loads it anew.

        Raises:
            ModelNotFound, LoadFailed: as ``find``.
            InvalidRequest: it ships with the program.
            DiskFull: there is no room for the record.
        """
        self._refuse_builtin(ModelName.parse(name), "changed")
        with room_needed(), atomic.lock(self._lock):
            model = replace(self.find(name), profile=profile)
            self._manifests.put(replace(self._manifests.find(model.name), model=model))
        return model

    def remove(self, name: str) -> None:
        """Forget a model and its prompts, and delete its files if they are our own and nobody
        else's.

        Raises:
            InvalidModelName: it cannot be a name.
            ModelNotFound: there is no such model.
            InvalidRequest: it ships with the program.
        """
        wanted = ModelName.parse(name)
        self._refuse_builtin(wanted, "removed")
        with atomic.lock(self._lock):
            try:
                self._manifests.remove(wanted)
            except FileNotFoundError:
                raise ModelNotFound(name) from None
            self._delete_unused()

    def sweep(self) -> None:
        """Clear away what killed processes left, and bring records of older programs up to date.

        Whoever runs models calls it, once. Records of an older program take as long as
        reading the headers of their models does.
        """
        try:
            for folder in (self._manifests.folder, self._weights.folder, self.partial):
                atomic.sweep(folder, _DAY_SECONDS)
            self.blobs.sweep(_DAY_SECONDS)
            if self.partial.is_dir():
                for download in self.partial.iterdir():
                    if atomic.age_seconds(download) > _PARTIAL_SECONDS:
                        atomic.remove_tree(download)
            if self._unused() or self._manifests.outdated:
                with atomic.lock(self._lock):
                    self._manifests.renew()
                    self._delete_unused()
        except OSError:
            log.exception("What an earlier run left behind could not be cleared away")

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

    def _move_in(
        self, name: ModelName, found: Found, hashes: Mapping[str, str], making: Making | None
    ) -> Model:
        """Make a folder of weights our own, under their digest, and record it."""
        files = self._weights.prepare(found.files)
        weights.check_names(weights.names_of(files))
        digest = weights.digest_of(hashes)
        size_bytes = weights.bytes_in(files.folder)
        with atomic.lock(self._lock):
            own = self._weights.adopt(files.folder, digest)
            moved = replace(found, files=replace(files, folder=own))
            model = self._used(moved.model(name, size_bytes, digest), making)
            self._record(Manifest(model, own.name, facts.VERSION))
        return model

    def _used(self, model: Model, making: Making | None) -> Model:
        """Say how a model is used that is being made. Called under the lock."""
        if making is None:
            return self._manifests.with_profile(model)
        new = tuple(
            Adapter(self._weights.adopt(each.folder, each.sha256) / each.name)
            for each in making.adapters
        )
        adapters = (*making.profile.adapters, *new)
        return replace(model, profile=replace(making.profile, adapters=adapters))

    def _record(self, record: Manifest) -> None:
        """Called under the lock: with the record, a folder of our own comes into use."""
        self._manifests.put(record)
        self._delete_unused()  # of a model that had the name before

    def _delete_unused(self) -> None:
        """Delete weights of our own and prompts that no record names. Called under the lock."""
        for folder in self._unused():
            atomic.remove_tree(folder)
        records = self._manifests.all()
        if records.readable:
            models = (*(each.model for each in records.found), *self._builtins)
            digests = {each.digest for each in models}
            self._prompts.clear(lambda digest, _name: digest not in digests)

    def _unused(self) -> Sequence[Path]:
        records = self._manifests.all()
        if not records.readable:  # what cannot be read may name any of them
            return ()
        profiles = [each.model.profile for each in records.found]
        adapters = {each.path.parent.name for profile in profiles for each in profile.adapters}
        return self._weights.all_but(adapters | {each.own for each in records.found})

    def _refuse_builtin(self, name: ModelName, verb: str) -> None:
        if any(model.name == name for model in self._builtins):
            raise InvalidRequest(
                f"Model '{name}' ships with Inglenook and cannot be {verb}.", field="model"
            )
