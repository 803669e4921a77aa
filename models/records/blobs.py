"""Blobs: the files that messages carry, each under the SHA-256 of what is in it."""

import hashlib
import os
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from models import atomic
from models.chat import KeptFile

# A blob is written before the row that refers to it, perhaps by another process.
_YOUNG_SECONDS = 24 * 60 * 60.0


class Blobs:
    """The same bytes are kept once, however many messages carry them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Keep ``data``; return the digest that finds it again.

        Raises:
            OSError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / digest
        try:
            os.utime(path)  # young again: nobody sweeps it before it is referred to
        except FileNotFoundError:
            atomic.write(path, data)
        return digest

    def find(self, digest: str) -> KeptFile | None:
        """Return where something is kept; None where it is gone, or is not what it was."""
        path = self._folder / digest
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        return KeptFile(path) if found == digest else None

    def sweep(self, wanted: AbstractSet[str]) -> None:
        """Delete what nothing refers to, but for what is a day old or less."""
        atomic.sweep(self._folder, _YOUNG_SECONDS)
        with suppress(OSError):  # there is no folder before the first blob
            for path in list(self._folder.iterdir()):
                if path.name not in wanted and atomic.age_seconds(path) > _YOUNG_SECONDS:
                    path.unlink(missing_ok=True)
