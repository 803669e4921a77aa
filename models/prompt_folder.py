"""The folder of remembered prompts: what is in it, how much may be, who goes first.

    HOME/cache/prompts/KIND-OWNER-PROMPT/header       see ``prompt_entry``
                                        /payload.…
    HOME/cache/prompts/.PID-RUN-….work                on its way, or left by who was killed

Several processes may share a home. An entry appears and goes in one rename, and whoever finds
it gone has missed it, no more.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from models import atomic, prompt_entry
from models.prompt_entry import Entry, Note, Owner, PromptKind, Stopped

# What may lie here, unless a person has set it: the least of these, of the room that is free
# when nothing lies here.
_MOST_BYTES = 20 * 10**9
_MOST_SHARE = 0.1
# And never so much that less than this stays free: the least of these.
_RESERVE_BYTES = 10 * 10**9
_RESERVE_SHARE = 0.25  # of the whole disk

_HOUR_SECONDS = 3600.0
_RUN = secrets.token_hex(4)  # a process number comes again, after a restart of a container at once
_NAME = re.compile(rf"({'|'.join(PromptKind)})-([0-9a-f]{{16}})-[0-9a-f]{{24}}")
_ON_ITS_WAY = re.compile(r"\.(\d+)-([0-9a-f]+)-.*\.work")


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it is seen from outside, its header unread."""

    folder: Path
    kind: PromptKind
    owner_key: str
    size_bytes: int
    used: float  # when it was used last, as ``time.time``


class PromptFolder:
    """Holds nothing: the disk is asked each time. Any thread."""

    def __init__(self, home: Path) -> None:
        self.path = home / "cache" / "prompts"

    def prepare(self) -> None:
        """Make it, for nobody else to read, and sweep it. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)  # it was there already; raises where it is somebody else's
        self._sweep()

    # -- Looking ------------------------------------------

    def stored(self) -> list[Stored]:
        """Return all entries, the one to go first in front. Nothing where it cannot be read."""
        found: list[Stored] = []
        with suppress(OSError):
            for entry in list(self.path.iterdir()):
                if (name := _NAME.fullmatch(entry.name)) and (each := _stored(entry, name)):
                    found.append(each)
        return sorted(found, key=lambda each: (each.kind is PromptKind.SYSTEM, each.used))

    def entries(self, owner: Owner) -> list[Entry]:
        """Read the headers of an owner's entries. Those that are of no use to it are deleted."""
        found: list[Entry] = []
        for each in self.stored():
            if each.owner_key == owner.key:
                try:
                    found.append(prompt_entry.read_header(each.folder, owner))
                except (OSError, ValueError):
                    self.remove(each.folder)
        return found

    def most_bytes(self, wanted: int | None) -> int:
        """Return how much may lie here now. ``wanted``: as a person has set it.

        Raises:
            OSError: the disk does not tell.
        """
        existing = next(each for each in (self.path, *self.path.parents) if each.exists())
        disk = shutil.disk_usage(existing)
        room = disk.free + sum(each.size_bytes for each in self.stored())
        reserve = min(_RESERVE_BYTES, int(disk.total * _RESERVE_SHARE))
        usual = min(_MOST_BYTES, int(room * _MOST_SHARE))
        return max(0, min(usual if wanted is None else wanted, room - reserve))

    # -- Changing -----------------------------------------

    def make_room(self, size_bytes: int, wanted: int | None) -> bool:
        """Delete until that much may be added; return whether it may. Raises OSError."""
        most = self.most_bytes(wanted)
        stored = self.stored()
        left = sum(each.size_bytes for each in stored)
        fits = size_bytes <= most
        for each in stored:
            if left <= (most - size_bytes if fits else most):
                break
            self.remove(each.folder)
            left -= each.size_bytes
        return fits

    def add(
        self,
        owner: Owner,
        note: Note,
        write: Callable[[Path], object],
        stopped: Callable[[], bool],
    ) -> Entry | None:
        """Have ``write`` make the payload's file, and add it. None: it is there already.

        Raises:
            OSError, Stopped, and what ``write`` raises. Then nothing is left of it.
        """
        work = self.work_path()
        try:
            work.mkdir(mode=0o700)
            payload = work / note.file
            write(payload)
            payload.chmod(0o600)
            _sync(payload)
            entry = prompt_entry.write_header(work, owner, note, stopped)
            if stopped():
                raise Stopped
            atomic.sync_folder(work)
            own = self.path / f"{note.kind}-{owner.key}-{note.key}"
            if own.exists():
                return None
            work.rename(own)
            atomic.sync_folder(self.path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return Entry(own, note, entry.size_bytes, entry.head, entry.digest)

    def work_path(self) -> Path:
        """Return a new name for a folder of what is on its way here.

        While this process runs nobody else touches it; after that it is swept.
        """
        return self.path / f".{os.getpid()}-{_RUN}-{secrets.token_hex(8)}.work"

    def touch(self, folder: Path) -> None:
        """It has been of use: others go before it."""
        with suppress(OSError):
            os.utime(folder)

    def remove(self, folder: Path) -> None:
        """Delete an entry. Where the system will not let it go, it stays."""
        with suppress(OSError):
            atomic.remove_tree(folder)

    def clear(self, chosen: Callable[[str, str], bool]) -> tuple[int, int]:
        """Delete what is of models that are ``chosen``, by digest and name, and what is damaged.

        Returns how many entries and bytes those were.
        """
        count = size_bytes = 0
        for each in self.stored():
            try:
                if not chosen(*prompt_entry.whose(each.folder)):
                    continue
            except (OSError, ValueError):
                pass  # of use to nobody
            self.remove(each.folder)
            if not each.folder.exists():
                count, size_bytes = count + 1, size_bytes + each.size_bytes
        return count, size_bytes

    def _sweep(self) -> None:
        atomic.sweep(self.path, _HOUR_SECONDS)  # an hour: deleting takes a moment
        for entry in list(self.path.iterdir()):
            if (found := _ON_ITS_WAY.fullmatch(entry.name)) and not _alive(found):
                shutil.rmtree(entry, ignore_errors=True)


def _stored(folder: Path, name: re.Match[str]) -> Stored | None:
    try:
        used = folder.stat().st_mtime
        size_bytes = sum(each.stat().st_size for each in folder.iterdir())
    except OSError:  # another process deletes it, or it is no folder of ours
        return None
    return Stored(folder, PromptKind(name[1]), name[2], size_bytes, used)


def _alive(name: re.Match[str]) -> bool:
    """Whether who made that name still runs."""
    pid, run = int(name[1]), name[2]
    return run == _RUN if pid == os.getpid() else psutil.pid_exists(pid)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
