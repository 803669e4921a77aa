"""The downloads of this program: a queue that outlives it, and a thread that works it off.

One model comes at a time, which is as fast as the connection: the others wait in their
order. A program that ends, or is killed, goes on with its queue when it is opened next.
"""

import logging
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Protocol, TypeAlias

from models.download_list import DownloadList
from models.download_states import (
    Cancelled,
    Cancelling,
    Dismissed,
    Done,
    Download,
    Failed,
    Queued,
    Running,
    State,
)
from models.errors import InferenceError
from models.hub_errors import PullCancelled
from models.hub_links import model_at
from models.hub_progress import PullProgress
from models.model import Model
from models.names import ModelName

log = logging.getLogger(__name__)

FILE = "downloads.json"  # in the home
_END_SECONDS = 5.0  # a cancelled download takes no longer to let go
_NOTHING = PullProgress("")
_numbers = count(1)

# Called with each new state, in their order, by whichever thread brought it about: it
# hands the value over and returns.
Sink: TypeAlias = Callable[[Download], None]


class Puller(Protocol):
    """What we ask of ``models.hub.Hub``."""

    def pull(
        self,
        name: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> Model: ...


class Downloads:
    """Every method may be called from any thread, and none waits for the network.

    ``Done`` and ``Dismissed`` are the last that is told of a download: it has left the
    list by then.
    """

    def __init__(self, hub: Puller, path: Path) -> None:
        """Read what an earlier run left at ``path``. Nothing moves before ``resume``."""
        self._hub = hub
        self._list = DownloadList(path)
        # Guards all below. Sinks are called under it, so that they hear of things in
        # the order in which they happened.
        self._lock = threading.RLock()
        self._states = {ModelName.parse(each.name): each for each in self._list.read()}
        self._sinks: list[Sink] = []
        self._worker: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._closed = False

    def states(self) -> tuple[Download, ...]:
        """Return all downloads, the one that was asked for first in front."""
        with self._lock:
            return tuple(self._states.values())

    def watch(self, sink: Sink) -> Callable[[], None]:
        """Tell ``sink`` of each new state; return what ends that."""
        with self._lock:
            self._sinks.append(sink)

        def stop() -> None:
            with self._lock:
                if sink in self._sinks:
                    self._sinks.remove(sink)

        return stop

    def resume(self) -> None:
        """Go on with what an earlier run did not bring to its end."""
        with self._lock:
            self._wake_worker()

    def start(self, name: str) -> None:
        """Bring a model here, or go on with it. ``name`` is as for ``Hub.pull``.

        Raises InvalidModelName.
        """
        name = model_at(name)
        key = ModelName.parse(name)
        with self._lock:
            known = self._states.get(key)
            if known and isinstance(known.state, Queued | Running | Cancelling):
                self._wake_worker()  # one that an earlier run has left
                return
            self._tell(key, Download(known.name if known else name, Queued()))
            self._list.save(self.states())
            self._wake_worker()

    def cancel(self, name: str) -> None:
        """Stop one, soon. Harmless where there is nothing to stop."""
        with self._lock:
            key, download = self._find(name)
            match download:
                case Download(asked, Queued()):
                    self._tell(key, Download(asked, Cancelled()))
                    self._list.save(self.states())
                case Download(asked, Running()):
                    self._tell(key, Download(asked, Cancelling()))
                    self._cancelled.set()
                    self._list.save(self.states())
                case _:
                    pass

    def dismiss(self, name: str) -> None:
        """Take one that was stopped or has failed off the list."""
        with self._lock:
            key, download = self._find(name)
            if download and isinstance(download.state, Cancelled | Failed):
                self._tell(key, Download(download.name, Dismissed()))
                self._list.save(self.states())

    def close(self) -> None:
        """Stop, and wait for that. The next program that opens ``path`` goes on with it."""
        with self._lock:
            self._closed = True
            self._sinks.clear()
            self._cancelled.set()
            worker = self._worker
        if worker:
            worker.join(_END_SECONDS)
        self._list.close()

    # -- Inside, under the lock ----------------------------

    def _find(self, name: str) -> tuple[ModelName, Download | None]:
        key = ModelName.parse(name)
        return key, self._states.get(key)

    def _tell(self, key: ModelName, download: Download) -> None:
        if isinstance(download.state, Done | Dismissed):
            self._states.pop(key, None)
        else:
            self._states[key] = download
        for sink in list(self._sinks):
            try:
                sink(download)
            except Exception:  # whoever watches may be gone: the download goes on
                log.exception("Nobody heard that %s is %s", download.name, download.state)

    def _wake_worker(self) -> None:
        if self._worker or self._closed or not self._next():
            return
        # A daemon: a program that ends gives it a moment, and what has arrived is kept.
        self._worker = threading.Thread(
            target=self._run, name=f"download-{next(_numbers)}", daemon=True
        )
        self._worker.start()

    def _next(self) -> tuple[ModelName, Download] | None:
        queued = (item for item in self._states.items() if isinstance(item[1].state, Queued))
        return None if self._closed else next(queued, None)

    # -- The worker's thread -------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                item = self._next()
                if item is None:
                    self._worker = None
                    return
                key, download = item
                self._cancelled.clear()
                self._tell(key, Download(download.name, Running(_NOTHING)))
            state = self._pull(key, download.name)
            with self._lock:
                if self._closed:
                    return  # the file has it as queued
                self._tell(key, Download(download.name, state))
                self._list.save(self.states())

    def _pull(self, key: ModelName, name: str) -> State:
        def on_progress(progress: PullProgress) -> None:
            with self._lock:
                if not self._cancelled.is_set():
                    self._tell(key, Download(name, Running(progress)))

        try:
            return Done(self._hub.pull(name, on_progress, self._cancelled).name)
        except PullCancelled:
            return Cancelled()
        except InferenceError as error:
            return Failed(str(error))
        except Exception:
            log.exception("The download of %s failed", name)
            return Failed("The download failed unexpectedly: see the log.")
