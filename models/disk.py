"""Room on the disk: whether there is enough, and what is said when there is not."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from models.errors import DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raises DiskFull where the disk that ``folder`` is on has no room for that much more."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"The disk is too full: the model needs {needed_bytes / 1e9:.1f} GB, "
            f"and {free / 1e9:.1f} GB are free. Make room, and try again."
        )


@contextmanager
def room_needed() -> Generator[None]:
    """Turns what the system says of a full disk, or a used-up quota, into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            "The disk has become full, and nothing was changed: make room, and try again."
        ) from None
