"""One download for all who ask for the same model at the same time."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from models.hub_errors import PullCancelled
from models.hub_progress import PullProgress
from models.model import Model
from models.names import ModelName

_CHECK_SECONDS = 0.1  # how often a wait looks up to see whether it is cancelled
_numbers = count(1)

log = logging.getLogger(__name__)

OnProgress = Callable[[PullProgress], None]


class Pull(Protocol):
    """What brings a model here: as ``Hub.pull`` is documented."""

    def __call__(
        self, name: str, on_progress: OnProgress, cancelled: threading.Event, /
    ) -> Model: ...


@dataclass(slots=True)
class _Running:
    """A pull on a thread of its own, so that it belongs to none of those who wait for it."""

    listeners: list[OnProgress] = field(default_factory=list[OnProgress])
    said: PullProgress | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: Future[Model] = field(default_factory=Future[Model])


class Pulls:
    """Who asks for what is on its way already hears how far that is, and then of the rest.

    A pull ends early when the last who waits for it has cancelled. Any thread may call.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._lock = threading.Lock()  # guards the table and what is in it; held while telling
        self._running: dict[ModelName, _Running] = {}

    def pull(self, name: str, on_progress: OnProgress, cancelled: threading.Event) -> Model:
        """Raises what the pull does; PullCancelled, soon after ``cancelled`` is set."""
        key = ModelName.parse(name)
        if cancelled.is_set():
            raise PullCancelled
        running = self._join(key, name, on_progress)
        try:
            while not cancelled.is_set():
                if wait([running.ended], _CHECK_SECONDS).done:
                    break
        finally:
            self._leave(running, on_progress)
        if running.ended.done():
            return running.ended.result()
        raise PullCancelled

    def _join(self, key: ModelName, name: str, on_progress: OnProgress) -> _Running:
        while True:
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    running = self._running[key] = _Running([on_progress])
                    self._start(key, name, running)
                    return running
                if not running.cancelled.is_set():
                    running.listeners.append(on_progress)
                    if running.said:
                        _tell(on_progress, running.said)
                    return running
            wait([running.ended])  # everybody has left it: it is begun again

    def _leave(self, running: _Running, on_progress: OnProgress) -> None:
        with self._lock:
            running.listeners.remove(on_progress)
            if running.listeners or running.ended.done():
                return
            running.cancelled.set()
        wait([running.ended])

    def _start(self, key: ModelName, name: str, running: _Running) -> None:
        def tell(progress: PullProgress) -> None:
            with self._lock:
                running.said = progress
                for each in running.listeners:
                    _tell(each, progress)

        def run() -> None:
            try:
                model = self._pull(name, tell, running.cancelled)
            except BaseException as error:
                self._forget(key)
                running.ended.set_exception(error)
            else:
                self._forget(key)
                running.ended.set_result(model)

        # A daemon: what has arrived is kept, and a program that ends waits for no network.
        threading.Thread(target=run, name=f"pull-{next(_numbers)}", daemon=True).start()

    def _forget(self, key: ModelName) -> None:
        with self._lock:
            del self._running[key]


def _tell(on_progress: OnProgress, progress: PullProgress) -> None:
    try:
        on_progress(progress)
    except Exception:  # one who listens may be gone: the others are not
        log.exception("Nobody heard how far a download is")
