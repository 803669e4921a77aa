"""The records of what is installed: one small file a model name.

Whoever looks takes no lock and writes nothing. A record is decoded when its file has
changed, which another process may have done at any time.
"""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from models import atomic, facts, manifest
from models.errors import InferenceError, LoadFailed, ModelNotFound
from models.manifest import Manifest, NewerManifest, UnreadableManifest
from models.model import Model
from models.names import ModelName

log = logging.getLogger(__name__)

_SUFFIX = ".json"
# File systems tell time in steps, FAT in the longest. Two changes within one step look
# like one, so a file that has just changed is read again.
_CLOCK_STEP_NS = 2_000_000_000

_Stamp: TypeAlias = tuple[int, int, int]
"""When a file was changed, its size and its inode: another one for whatever is written."""


@dataclass(frozen=True, slots=True)
class Records:
    """All records that can be read, the newest first, and whether there are others."""

    found: Sequence[Manifest]
    readable: bool


@dataclass(frozen=True, slots=True)
class _Listing:
    """All records, as long as the folder looks like this."""

    stamps: Mapping[str, _Stamp]
    records: Records


class Manifests:
    """Any thread may call everything; whoever changes something holds the store's lock.

    What is kept in memory are values that threads may read anew at the same time, which
    costs time alone.
    """

    def __init__(self, folder: Path, files: Path) -> None:
        self.folder = folder
        self._files = files
        self._kept: dict[str, tuple[_Stamp, Manifest]] = {}  # by the name of the file
        self._listing = _Listing({}, Records((), readable=True))
        self._warned_about: set[str] = set()
        # By the name of the file: a record as it is, and with today's facts.
        self._renewed: dict[str, tuple[Manifest, Manifest]] = {}
        # What facts could not be read from, and how it was then: nothing will have changed.
        self._without_facts: dict[Path, _Stamp | None] = {}

    def find(self, name: ModelName) -> Manifest:
        """Return the record of a name.

        Raises:
            FileNotFoundError: there is none.
            UnreadableManifest: it is damaged, or from a newer program.
        """
        path = self._path(name)
        return self._read(path.name, _stamp_of(path.stat()))

    def installed(self, name: str) -> Model:
        """Return the model of a name, as somebody has written it.

        Raises:
            ModelNotFound: there is no such model.
            LoadFailed: there is one, and its files or its record are gone or unknown to us.
        """
        try:
            model = self.find(ModelName.parse(name)).model
        except FileNotFoundError:
            raise ModelNotFound(name) from None
        except NewerManifest:
            raise LoadFailed(
                f"Model {name!r} was written by a newer Inglenook: update this one to use it."
            ) from None
        except UnreadableManifest:
            raise LoadFailed(
                f"The record of model {name!r} is damaged: import or pull it again."
            ) from None
        if not model.path.exists():
            raise LoadFailed(
                f"The files of model {name!r} are gone: {model.path} is not there any more. "
                "Put them back, or remove the model."
            )
        return model

    def with_profile(self, model: Model) -> Model:
        """Return a model as the one of its kind was wanted that has had its name until now."""
        try:
            older = self.find(model.name).model
        except (FileNotFoundError, UnreadableManifest):
            return model
        return replace(model, profile=older.profile) if older.kind is model.kind else model

    def all(self) -> Records:
        stamps = _stamps_in(self.folder)
        listing = self._listing
        if stamps != listing.stamps:
            listing = _Listing(stamps, self._read_all(stamps))
            kept = {name: each for name, each in self._kept.copy().items() if name in stamps}
            self._kept = kept
            if len(kept) == len(stamps):  # each may be believed until its file changes
                self._listing = listing
        return listing.records

    def put(self, record: Manifest) -> None:
        """Write a record, over one that its name may have."""
        atomic.write(self._path(record.model.name), manifest.encode(record, self._files))

    def remove(self, name: ModelName) -> None:
        """Raises FileNotFoundError where there is no such record."""
        self._path(name).unlink()

    @property
    def outdated(self) -> bool:
        """Whether facts had to be read again for a record that was looked at."""
        return bool(self._renewed)

    def renew(self) -> None:
        """Write down those facts, where the record is still the one that lacked them."""
        while self._renewed:
            name, (written, renewed) = self._renewed.popitem()
            with suppress(UnreadableManifest, FileNotFoundError):
                raw = (self.folder / name).read_bytes()
                if manifest.decode(raw, self._files) == written:
                    self.put(renewed)

    # -- Inside --------------------------------------------

    def _path(self, name: ModelName) -> Path:
        return self.folder / (name.file_stem + _SUFFIX)

    def _read_all(self, stamps: Mapping[str, _Stamp]) -> Records:
        found: list[Manifest] = []
        readable = True
        for name, stamp in stamps.items():
            try:
                found.append(self._read(name, stamp))
            except FileNotFoundError:
                pass  # removed since
            except (UnreadableManifest, OSError) as error:
                readable = False
                self._warn(name, error)
        found.sort(key=lambda each: each.model.modified_at, reverse=True)
        return Records(found, readable)

    def _read(self, name: str, stamp: _Stamp) -> Manifest:
        """Return what a file holds that had this stamp a moment ago."""
        kept = self._kept.get(name)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        written = manifest.decode((self.folder / name).read_bytes(), self._files)
        found = self._with_facts(written)
        if found is not written:
            self._renewed[name] = written, found
        settled = time.time_ns() - stamp[0] > _CLOCK_STEP_NS
        if settled and found.facts_version >= facts.VERSION:
            self._kept[name] = stamp, found
        return found

    def _with_facts(self, found: Manifest) -> Manifest:
        """Return a record with today's facts, where the model's files can be read."""
        model = found.model
        if found.facts_version >= facts.VERSION:
            return found
        stamp = _stamp(model.path)
        if model.path in self._without_facts and self._without_facts[model.path] == stamp:
            return found
        try:
            details = facts.of_files(model.kind, model.files)
        except (InferenceError, OSError) as error:
            self._without_facts[model.path] = stamp
            log.info("The facts of %s cannot be read again: %s", model.name, error)
            return found
        details = replace(details, description=model.details.description)
        return replace(found, model=replace(model, details=details), facts_version=facts.VERSION)

    def _warn(self, name: str, error: Exception) -> None:
        if name not in self._warned_about:
            self._warned_about.add(name)
            log.warning("%s is not a model's record that can be read: %s", name, error)


def _stamps_in(folder: Path) -> dict[str, _Stamp]:
    """Return the stamps of the records in a folder, by their names."""
    try:
        # By its descriptor the system finds the folder once, and not for each file again.
        opened = folder if sys.platform == "win32" else os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return {}
    stamps: dict[str, _Stamp] = {}
    try:
        with os.scandir(opened) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    with suppress(FileNotFoundError):  # removed since
                        stamps[entry.name] = _stamp_of(entry.stat())
    except FileNotFoundError:
        return {}
    finally:
        if sys.platform != "win32":
            os.close(opened)
    return stamps


def _stamp(path: Path) -> _Stamp | None:
    try:
        return _stamp_of(path.stat())
    except OSError:
        return None


def _stamp_of(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
