"""Files that are there whole or not at all, whatever happens to the computer meanwhile."""

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# Nothing else of ours begins with a dot and ends like this: see ``sweep``.
_TEMPORARY = ".tmp"
_LOCK_POLL_SECONDS = 0.01


def write(path: Path, data: bytes) -> None:
    """Replace the file at ``path``, or make it: readers see the old bytes or the new.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def temporary_beside(path: Path) -> Path:
    """Return a new name in the same folder, for what will be renamed to ``path``."""
    return path.with_name(f".{secrets.token_hex(8)}{_TEMPORARY}")


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` last through a power cut, where the system can."""
    if sys.platform == "win32":  # has no way to open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Delete a folder; whoever looks at its name meanwhile finds all of it or nothing."""
    doomed = temporary_beside(folder)
    with suppress(FileNotFoundError):
        os.replace(folder, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path, older_than_seconds: float) -> None:
    """Delete what a process that was killed left behind under a temporary name."""
    for entry in _entries(folder):
        if not (entry.name.startswith(".") and entry.name.endswith(_TEMPORARY)):
            continue
        if age_seconds(entry) < older_than_seconds:
            continue  # somebody may be writing it now
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink()


def age_seconds(path: Path) -> float:
    """Return how long ago it was last changed; 0.0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Generator[None]:
    """Hold a lock that other threads and processes respect. It ends with the process.

    Raises:
        BlockingIOError: somebody else holds it, and ``wait`` is False.
    """
    import filelock  # noqa: PLC0415  # takes a tenth of a second: who only looks is spared it

    path.parent.mkdir(parents=True, exist_ok=True)
    # One object a holder: threads keep each other out as processes do, and another thread
    # may give back what one has taken.
    held = filelock.FileLock(
        path, blocking=wait, poll_interval=_LOCK_POLL_SECONDS, thread_local=False
    )
    try:
        held.acquire()
    except filelock.Timeout:
        raise BlockingIOError(errno.EAGAIN, "is locked", str(path)) from None
    try:
        yield
    finally:
        held.release()
