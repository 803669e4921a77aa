"""How far a pull is, and when that is worth telling."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from models.hub_files import RemoteFile

_SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is, or a push. The bytes are those of all files of the model together."""

    status: str  # in Ollama's words: see ``Hub.pull``
    file: str = ""  # the one on its way
    completed_bytes: int = 0
    total_bytes: int = 0  # 0 while it is not known
    sha256: str = ""  # of the file, where they are those of it alone


class Report:
    """Tells of progress, ten times a second at most, and of each new status."""

    def __init__(self, on_progress: Callable[[PullProgress], None]) -> None:
        self._on_progress = on_progress
        self._said = PullProgress("")
        self._before = 0  # bytes of the files that came before this one
        self._size = 0  # of this one
        self._next_report = 0.0

    def say(self, status: str) -> None:
        self._said = replace(self._said, status=status)
        self._on_progress(self._said)

    def begin(self, total_bytes: int) -> None:
        self._said = replace(self._said, total_bytes=total_bytes)

    def next_file(self, file: RemoteFile) -> None:
        self._before += self._size
        self._size = file.size_bytes
        self._said = replace(self._said, file=file.name, completed_bytes=self._before)
        self.say("pulling")

    def bytes_here(self, count: int) -> None:
        """``count`` bytes of the file on its way are on the disk."""
        self._said = replace(self._said, completed_bytes=self._before + count)
        now = time.monotonic()
        if count == self._size or now >= self._next_report:
            self._next_report = now + _SECONDS_BETWEEN_REPORTS
            self._on_progress(self._said)
