"""Models on their way here, and the search for them: view-models over the hub."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from itertools import count
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot

from app import background
from app.background import sentence
from app.manager.library import size_words
from app.manager.pace import Pace, time_words
from models.errors import InferenceError
from models.hub import HubModel, PullCancelled, PullProgress
from models.model import Model
from models.names import ModelName

log = logging.getLogger(__name__)

_END_SECONDS = 5.0  # a cancelled download takes no longer to let go
_numbers = count(1)


class HubLike(Protocol):
    """What we ask of ``models.hub.Hub``."""

    def search(self, query: str, limit: int = 30) -> list[HubModel]: ...
    def pull(
        self,
        name: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> Model: ...


class DownloadState(Enum):
    RUNNING = auto()
    CANCELLING = auto()
    CANCELLED = auto()
    FAILED = auto()
    DONE = auto()


class Download(QObject):
    """One model on its way to the disk, on a thread of its own."""

    changed = Signal()
    finished = Signal()
    _progressed = Signal(object)  # PullProgress
    _ended = Signal(object, str)  # DownloadState, a sentence

    def __init__(self, hub: HubLike, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self.name = name
        self._hub = hub
        self._state = DownloadState.RUNNING
        self._problem = ""
        self._progress = PullProgress("")
        self._pace = Pace()
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._progressed.connect(self._on_progress)
        self._ended.connect(self._on_ended)

    @property
    def state(self) -> DownloadState:
        return self._state

    @property
    def problem(self) -> str:
        """One sentence on why it failed, or empty."""
        return self._problem

    @property
    def share(self) -> float | None:
        """Return how much has arrived, from 0 to 1; None while that is not known."""
        progress = self._progress
        return progress.completed_bytes / progress.total_bytes if progress.total_bytes else None

    @property
    def words(self) -> str:
        """Say in a line how it goes."""
        match self._state:
            case DownloadState.CANCELLING:
                return "Stopping"
            case DownloadState.CANCELLED:
                return "Stopped. What has arrived is kept, and can be gone on from."
            case DownloadState.FAILED:
                return self._problem
            case DownloadState.DONE:
                return "Done"
            case DownloadState.RUNNING:
                return self._running_words()

    def start(self) -> None:
        """Begin, or go on after a stop or a failure."""
        if self._thread and self._thread.is_alive():
            return
        self._cancelled.clear()
        self._pace = Pace()
        self._state, self._problem = DownloadState.RUNNING, ""
        # A daemon: a program that ends gives it a moment, and what has arrived is kept.
        name = f"download-{next(_numbers)}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.changed.emit()

    def cancel(self) -> None:
        if self._state is DownloadState.RUNNING:
            self._state = DownloadState.CANCELLING
            self._cancelled.set()
            self.changed.emit()

    def wait(self) -> None:
        """Wait, after a cancel, until it has let go."""
        if self._thread:
            self._thread.join(_END_SECONDS)

    def _running_words(self) -> str:
        progress = self._progress
        if progress.status.startswith("verifying"):
            return "Checking what has arrived"
        if not progress.total_bytes:
            return "Asking the hub"
        done, total = size_words(progress.completed_bytes), size_words(progress.total_bytes)
        facts = [f"{done} of {total}"]
        if (rate := self._pace.bytes_per_second) > 0:
            facts.append(f"{size_words(rate)}/s")
        left = self._pace.seconds_left(progress.total_bytes - progress.completed_bytes)
        if left is not None:
            facts.append(time_words(left))
        return "  ·  ".join(facts)

    @Slot(object)
    def _on_progress(self, progress: PullProgress) -> None:
        self._progress = progress
        if progress.status == "pulling":
            self._pace.arrived(time.monotonic(), progress.completed_bytes)
        self.changed.emit()

    @Slot(object, str)
    def _on_ended(self, state: DownloadState, problem: str) -> None:
        self._state, self._problem = state, problem
        self.changed.emit()
        if state is DownloadState.DONE:
            self.finished.emit()

    # -- The download's own thread --------------------------------------------

    def _run(self) -> None:
        state, problem = DownloadState.DONE, ""
        try:
            self._hub.pull(self.name, self._progressed.emit, self._cancelled)
        except PullCancelled:
            state = DownloadState.CANCELLED
        except (InferenceError, OSError) as error:
            state, problem = DownloadState.FAILED, sentence(error)
        except Exception:
            log.exception("The download of %s failed", self.name)
            state, problem = DownloadState.FAILED, "The download failed unexpectedly: see the log."
        with suppress(RuntimeError):  # our C++ half is gone: the program has ended
            self._ended.emit(state, problem)


class Downloads(QObject):
    """All downloads of this window, and the last search."""

    changed = Signal()  # one has come, or gone
    arrived = Signal()  # a model is on the disk, and in the store
    searched = Signal()  # there are results, or it is known why not

    def __init__(self, hub: HubLike, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hub = hub
        self._downloads: list[Download] = []
        self._results: list[HubModel] = []
        self._asked = ""
        self._searching = False
        self._problem = ""

    @property
    def downloads(self) -> list[Download]:
        return list(self._downloads)

    @property
    def results(self) -> list[HubModel]:
        return self._results

    @property
    def search_words(self) -> str:
        """Say how the search went; empty where the results speak for themselves."""
        if self._searching:
            return "Searching"
        if self._problem:
            return self._problem
        if self._asked and not self._results:
            return f"Nothing that runs here is called “{self._asked}”."
        return ""

    @property
    def search_failed(self) -> bool:
        return bool(self._problem)

    def search(self, query: str) -> None:
        query = query.strip()
        if not query:
            return
        self._asked, self._searching, self._problem, self._results = query, True, "", []
        background.run(
            lambda: (query, self._hub.search(query)),
            self._on_found,
            self,
            self._on_search_failed,
        )
        self.searched.emit()

    def download(self, name: str) -> None:
        """Begin to bring a model here; one that is on its way already goes on."""
        for download in self._downloads:
            if ModelName.parse(download.name) == ModelName.parse(name):
                download.start()
                return
        download = Download(self._hub, name, self)
        download.finished.connect(self._on_finished)
        self._downloads.insert(0, download)
        self.changed.emit()
        download.start()

    def dismiss(self, download: Download) -> None:
        """Take a download that has ended off the list."""
        if download in self._downloads:
            self._downloads.remove(download)
            download.deleteLater()
            self.changed.emit()

    def close(self) -> None:
        """Stop them all, and wait for that. What has arrived is kept."""
        for download in self._downloads:
            download.cancel()
        for download in self._downloads:
            download.wait()

    @Slot()
    def _on_finished(self) -> None:
        download = self.sender()
        self.arrived.emit()
        if isinstance(download, Download):
            self.dismiss(download)

    @Slot(object)
    def _on_found(self, found: tuple[str, list[HubModel]]) -> None:
        query, results = found
        if query == self._asked:
            self._searching, self._results = False, results
            self.searched.emit()

    @Slot(str)
    def _on_search_failed(self, problem: str) -> None:
        self._searching, self._problem = False, problem
        self.searched.emit()
