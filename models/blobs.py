"""Files that were sent to us, to make models of: each under the SHA-256 of what is in it.

A model takes the files that it is made of with it, so what lies here was sent and not yet used.
"""

import hashlib
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from models import atomic
from models.disk import check_room, room_needed
from models.errors import InvalidRequest

_DIGEST = re.compile(r"sha256[:-](?P<sha256>[0-9a-fA-F]{64})")


def sha256_in(digest: str) -> str:
    """Return the 64 hex digits of ``sha256:…``. Raises InvalidRequest."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise InvalidRequest("invalid digest format")  # Ollama's words
    return found["sha256"].lower()


class Upload:
    """A file on its way: write to it, then ``finish``."""

    def __init__(self, file: BinaryIO, temporary: Path, folder: Path, sha256: str) -> None:
        self._file = file
        self._temporary = temporary
        self._folder = folder
        self._expected = sha256
        self._sha = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Raises DiskFull, OSError."""
        with room_needed():
            self._file.write(chunk)
        self._sha.update(chunk)

    def finish(self) -> None:
        """Raises InvalidRequest where it is not what it was said to be; DiskFull, OSError."""
        expected, got = self._expected, self._sha.hexdigest()
        with room_needed():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()  # Windows moves no file that is open
            # What came under a wrong digest need not come again, as with Ollama.
            os.replace(self._temporary, self._folder / f"sha256-{got}")
            atomic.sync_folder(self._folder)
        if got != expected:
            raise InvalidRequest(
                f'digest mismatch, expected "sha256:{expected}", got "sha256:{got}"'
            )


class Blobs:
    """``own`` is where the weights of models are: a file that is a model by itself is found
    there too, in the folder of its digest. Any thread may call everything.
    """

    def __init__(self, folder: Path, own: Path) -> None:
        self.folder = folder
        self._own = own

    def find(self, sha256: str) -> Path | None:
        path = self._path(sha256)
        if path.is_file():
            return path
        found = [each for each in (self._own / sha256).glob("*") if each.is_file()]
        return found[0] if len(found) == 1 else None

    @contextmanager
    def upload(self, sha256: str, size_bytes: int) -> Generator[Upload]:
        """Take in a file of so many bytes; 0: it is not said how many.

        Raises:
            DiskFull: there is no room for them.
        """
        with room_needed():
            self.folder.mkdir(parents=True, exist_ok=True)
            check_room(self.folder, size_bytes)
            temporary = atomic.temporary_beside(self._path(sha256))
            file = temporary.open("xb")
        try:
            with file:
                yield Upload(file, temporary, self.folder, sha256)
        finally:
            temporary.unlink(missing_ok=True)

    def drop(self, sha256: str) -> None:
        """Forget a file that a model has by now. Harmless where it is not here."""
        self._path(sha256).unlink(missing_ok=True)

    def sweep(self, older_than_seconds: float) -> None:
        """Delete what nobody has made a model of, and what was not sent to its end."""
        atomic.sweep(self.folder, older_than_seconds)
        if self.folder.is_dir():
            for each in self.folder.iterdir():
                if atomic.age_seconds(each) > older_than_seconds:
                    each.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"sha256-{sha256}"
