"""The list of downloads in one small file, for the program that is opened next."""

import json
import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from models import atomic
from models.download_states import Cancelled, Cancelling, Download, Failed, Queued
from models.errors import InvalidModelName
from models.names import ModelName

log = logging.getLogger(__name__)

_VERSION = 1


class DownloadList:
    """Of two programs in one home, the first keeps the list; the other has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = ExitStack()
        self._lock = threading.Lock()  # guards the two below
        self._unsaved: bytes | None = None
        self._writer: threading.Thread | None = None
        self._keeps = self._take()

    def read(self) -> list[Download]:
        """Return what was kept; what cannot be understood is left out."""
        if not self._keeps:
            return []
        try:
            kept = cast("list[object]", json.loads(self._path.read_bytes())["downloads"])
            return [_decode(each) for each in kept]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, InvalidModelName) as error:
            log.warning("The list of downloads could not be read: %r", error)
            return []

    def save(self, downloads: Sequence[Download]) -> None:
        """Have the list written soon, by a thread of its own: nobody waits for the disk."""
        if not self._keeps:
            return
        kept = [_encode(each) for each in downloads]
        data = json.dumps({"version": _VERSION, "downloads": kept}, indent=2).encode()
        with self._lock:
            self._unsaved = data
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="download-list")
                self._writer.start()

    def close(self) -> None:
        """Wait until all is saved, and leave the list to others."""
        with self._lock:
            writer = self._writer
        if writer:
            writer.join()
        self._mine.close()

    def _take(self) -> bool:
        lock = self._path.with_name(f".{self._path.stem}.lock")
        try:
            self._mine.enter_context(atomic.lock(lock, wait=False))
        except OSError:  # another has it, or nothing can be written here at all
            return False
        return True

    def _write(self) -> None:
        while True:
            with self._lock:
                data, self._unsaved = self._unsaved, None
                if data is None:
                    self._writer = None
                    return
            try:
                atomic.write(self._path, data)
            except OSError as error:
                log.warning("The list of downloads could not be saved: %s", error)


def _encode(download: Download) -> dict[str, str]:
    match download.state:
        case Cancelled() | Cancelling():
            return {"name": download.name, "state": "cancelled"}
        case Failed(sentence):
            return {"name": download.name, "state": "failed", "problem": sentence}
        case _:
            return {"name": download.name, "state": "queued"}


def _decode(kept: object) -> Download:
    """Raises ValueError, InvalidModelName."""
    match kept:
        case {"name": str(name), "state": "failed", "problem": str(problem)}:
            download = Download(name, Failed(problem))
        case {"name": str(name), "state": "cancelled"}:
            download = Download(name, Cancelled())
        case {"name": str(name)}:
            download = Download(name, Queued())
        case _:
            raise ValueError(f"{kept!r} is no download")
    ModelName.parse(name)
    return download
