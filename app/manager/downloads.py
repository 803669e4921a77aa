"""Models on their way here, and the search for them: views of the downloads and the hub."""

import time
from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, Qt, Signal, Slot

from app import background, words
from app.manager.pace import Pace, time_words
from models import download_states, downloads
from models.download_states import (
    Cancelled,
    Cancelling,
    Dismissed,
    Done,
    Failed,
    Queued,
    Running,
    State,
)
from models.errors import InvalidModelName
from models.hub_progress import PullProgress
from models.hub_search import HubModel


class Searcher(Protocol):
    """What we ask of ``models.hub.Hub``."""

    def search(self, query: str, limit: int = 30) -> list[HubModel]: ...


class Download(QObject):
    """One model on its way to the disk, as a row shows it."""

    changed = Signal()

    def __init__(self, service: downloads.Downloads, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self.name = name
        self._service = service
        self._state: State = Queued()
        self._progress = PullProgress("")  # as far as it came, after a stop too
        self._pace = Pace()

    @property
    def state(self) -> State:
        return self._state

    @property
    def share(self) -> float | None:
        """Return how much has arrived, from 0 to 1; None while that is not known."""
        progress = self._progress
        return progress.completed_bytes / progress.total_bytes if progress.total_bytes else None

    @property
    def words(self) -> str:
        """Say in a line how it goes."""
        match self._state:
            case Queued():
                return "Waiting for its turn"
            case Running(progress):
                return self._running_words(progress)
            case Cancelling():
                return "Stopping"
            case Cancelled():
                return "Stopped. What has arrived is kept, and can be resumed."
            case Failed(sentence):
                return sentence
            case Done() | Dismissed():
                return "Done"

    def show(self, state: State) -> None:
        match state:
            case Queued():
                self._pace = Pace()
            case Running(progress):
                self._progress = progress
                if progress.status == "pulling":
                    self._pace.arrived(time.monotonic(), progress.completed_bytes)
            case _:
                pass
        self._state = state
        self.changed.emit()

    def start(self) -> None:
        """Go on after a stop or a failure."""
        self._service.start(self.name)

    def cancel(self) -> None:
        self._service.cancel(self.name)

    def dismiss(self) -> None:
        """Take it off the list, once it was stopped or has failed."""
        self._service.dismiss(self.name)

    def _running_words(self, progress: PullProgress) -> str:
        if progress.status.startswith("verifying"):
            return "Checking what has arrived"
        if not progress.total_bytes:
            return "Asking the hub"
        done, total = words.size(progress.completed_bytes), words.size(progress.total_bytes)
        facts = [f"{done} of {total}"]
        if (rate := self._pace.bytes_per_second) > 0:
            facts.append(f"{words.size(rate)}/s")
        left = self._pace.seconds_left(progress.total_bytes - progress.completed_bytes)
        if left is not None:
            facts.append(time_words(left))
        return "  ·  ".join(facts)


class Downloads(QObject):
    """All downloads of this program, and the last search."""

    changed = Signal()  # one has come, or gone
    arrived = Signal()  # a model is on the disk, and in the store
    searched = Signal()  # there are results, or it is known why not
    _told = Signal(object)  # models.download_states.Download

    def __init__(
        self, hub: Searcher, service: downloads.Downloads, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._hub = hub
        self._service = service
        self._downloads: dict[str, Download] = {}  # by name, the newest last
        self._results: list[HubModel] = []
        self._asked = ""
        self._searching = False
        self._problem = ""
        # Queued even from our own thread: what we hear keeps the order in which it was told.
        self._told.connect(self._on_told, Qt.ConnectionType.QueuedConnection)
        self._stop_watching: Callable[[], None] = service.watch(self._told.emit)
        for download in service.states():
            self._on_told(download)

    @property
    def downloads(self) -> list[Download]:
        """Return them, the newest first."""
        return list(reversed(self._downloads.values()))

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
        try:
            self._service.start(name)
        except InvalidModelName as error:
            self._asked, self._results = name, []
            self._on_search_failed(str(error))

    def close(self) -> None:
        """Hear no more of them: the service is about to close."""
        self._stop_watching()
        self._told.disconnect(self._on_told)

    @Slot(object)
    def _on_told(self, told: download_states.Download) -> None:
        if isinstance(told.state, Done | Dismissed):
            self._take_away(told.name)
        else:
            download = self._downloads.get(told.name) or self._add(told.name)
            download.show(told.state)
        if isinstance(told.state, Done):
            self.arrived.emit()

    def _add(self, name: str) -> Download:
        self._downloads[name] = download = Download(self._service, name, self)
        self.changed.emit()
        return download

    def _take_away(self, name: str) -> None:
        if download := self._downloads.pop(name, None):
            download.deleteLater()
            self.changed.emit()

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
