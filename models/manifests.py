"""The records of what is installed: one small file a model name.

Whoever looks takes no lock and writes nothing. A record is decoded when its file has
changed, which another process may have done at any time.
"""

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from models import atomic, facts, manifest
from models.errors import InferenceError
from models.manifest import Manifest, UnreadableManifest
from models.names import ModelName

log = logging.getLogger(__name__)

_SUFFIX = ".json"
# File systems tell time in steps, FAT in the longest. Two changes within one step look
# like one, so a file that has just changed is read again.
_CLOCK_STEP_NS = 2_000_000_000

_Stamp: TypeAlias = tuple[int, int, int]
"""When a file was changed, its size and its inode: another one for whatever is written."""


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: _Stamp
    manifest: Manifest


class Manifests:
    """Any thread may call everything; whoever changes something holds the store's lock.

    What is kept in memory are values that threads may read anew at the same time, which
    costs time alone.
    """

    def __init__(self, folder: Path, files: Path) -> None:
        self.folder = folder
        self._files = files
        self._kept: dict[str, _Kept] = {}
        self._warned_about: set[str] = set()
        # What facts could not be read from, and how it was then: nothing will have changed.
        self._without_facts: dict[Path, _Stamp | None] = {}

    def find(self, name: ModelName) -> Manifest:
        """Return the record of a name.

        Raises:
            FileNotFoundError: there is none.
            UnreadableManifest: it is damaged, or from a newer program.
        """
        path = self._path(name)
        return self._look(path, os.stat(path))

    def all(self) -> tuple[Sequence[Manifest], bool]:
        """Return the records in no order, and whether all of them could be read."""
        found: list[Manifest] = []
        readable = True
        seen: set[str] = set()
        for entry in _entries(self.folder):
            if not entry.name.endswith(_SUFFIX):
                continue
            seen.add(entry.path)
            try:
                found.append(self._look(entry.path, entry.stat()))
            except FileNotFoundError:
                pass  # removed since
            except (UnreadableManifest, OSError) as error:
                readable = False
                self._warn(entry.path, error)
        for path in list(self._kept):
            if path not in seen:
                self._kept.pop(path, None)
        return found, readable

    def put(self, record: Manifest) -> None:
        """Write a record, over one that its name may have."""
        atomic.write(Path(self._path(record.model.name)), manifest.encode(record))

    def remove(self, name: ModelName) -> None:
        """Raises FileNotFoundError where there is no such record."""
        os.unlink(self._path(name))

    def renew(self) -> None:
        """Write down the facts that had to be read again for records of an older program."""
        for path in sorted(self.folder.glob("*" + _SUFFIX)):
            with suppress(UnreadableManifest, FileNotFoundError):
                written = manifest.decode(path.read_bytes(), self._files)
                if written.facts_version < facts.VERSION:
                    read = self._with_facts(written)
                    if read != written:
                        self.put(read)

    # -- Inside --------------------------------------------

    def _path(self, name: ModelName) -> str:
        return os.path.join(self.folder, name.file_stem + _SUFFIX)

    def _look(self, path: str, status: os.stat_result) -> Manifest:
        stamp = _stamp_of(status)
        kept = self._kept.get(path)
        if kept is not None and kept.stamp == stamp:
            return kept.manifest
        with open(path, "rb") as file:
            found = self._with_facts(manifest.decode(file.read(), self._files))
        settled = time.time_ns() - status.st_mtime_ns > _CLOCK_STEP_NS
        if settled and found.facts_version >= facts.VERSION:
            self._kept[path] = _Kept(stamp, found)
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

    def _warn(self, path: str, error: Exception) -> None:
        if path not in self._warned_about:
            self._warned_about.add(path)
            log.warning("%s is not a model's record that can be read: %s", path, error)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _stamp(path: Path) -> _Stamp | None:
    try:
        return _stamp_of(path.stat())
    except OSError:
        return None


def _stamp_of(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
