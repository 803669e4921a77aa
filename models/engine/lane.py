"""A lane: one thread and an inbox, and a roster of models that it steps.

There is one lane for all MLX models, since their thread owns the GPU, and one for each
GGUF model, whose child process is its own: what is stuck there harms nobody else.
"""

import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TypeAlias

from models.chat import LoadRequest
from models.engine.house import House, Runner
from models.engine.job import Group
from models.engine.loaded import LoadedModel
from models.engine.roster import Roster, emit
from models.engine.work import Made, make
from models.errors import EngineClosed, InferenceError
from models.events import Failed, Sink, Unloaded
from models.pictures import Pictures, has_images
from models.resident import Resident

log = logging.getLogger(__name__)

_MOST_SLEEP_SECONDS = 86_400.0  # threading cannot wait for longer than TIMEOUT_MAX


@dataclass(frozen=True, slots=True)
class _Cancel:
    ticket: int


@dataclass(frozen=True, slots=True)
class _Unload:
    key: str  # ``LoadSpec.key``
    sink: Sink


@dataclass(frozen=True, slots=True)
class _Prepared:
    loaded: LoadedModel
    group: Group
    made: Made | InferenceError


class _Wake:
    pass


class _Look:
    """Memory has come back: try those who are parked."""


class _Close:
    pass


_Command: TypeAlias = Group | _Cancel | _Unload | _Prepared | _Wake | _Look | _Close


class Lane:
    """Sinks are called on the lane's thread, so a sink hands its event over and returns."""

    def __init__(self, name: str, runner: Runner, house: House, pictures: Pictures) -> None:
        self._end_thread = runner.end_thread
        self._pictures = pictures
        self._inbox: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._awake_since: float | None = None  # None: it sleeps on its inbox
        self._roster = Roster(
            runner,
            house,
            wake=lambda: self._inbox.put(_Wake()),
            look=lambda: self._inbox.put(_Look()),
            start_preparing=self._start_preparing,
        )
        self._thread = threading.Thread(target=self._run, name=f"lane-{name}", daemon=True)
        self._thread.start()

    # -- Any thread -----------------------------------------------------------

    def submit(self, group: Group) -> None:
        self._inbox.put(group)
        if self._closed.is_set():
            self._refuse_inbox()

    def cancel(self, ticket: int) -> None:
        """Harmless once it is over, and in a lane that never had it."""
        self._inbox.put(_Cancel(ticket))

    def unload(self, key: str, sink: Sink) -> None:
        """Let a model go when what it has is done: ``Unloaded``. ``key``: ``LoadSpec.key``."""
        self._inbox.put(_Unload(key, sink))
        if self._closed.is_set():
            self._refuse_inbox()

    def refresh(self) -> None:
        """Look at once at what was waited for: how long that is has changed."""
        self._inbox.put(_Look())

    def residents(self) -> tuple[Resident, ...]:
        return self._roster.residents

    @property
    def name(self) -> str:
        return self._thread.name

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def turn_seconds(self) -> float:
        """How long the turn has taken by now that the thread is in; 0 while it sleeps."""
        since = self._awake_since
        return 0.0 if since is None else time.monotonic() - since

    def begin_closing(self) -> None:
        self._inbox.put(_Close())

    def close(self) -> None:
        """Fail what runs, unload every model, and wait for both."""
        self.begin_closing()
        self._thread.join()

    # -- The lane's thread ----------------------------------------------------

    def _run(self) -> None:
        try:
            while self._take_commands():
                self._roster.step()
        finally:  # on a bug too: a lane that breaks must not leave a caller waiting
            self._closed.set()
            self._roster.close()
            self._refuse_inbox()
            if self._end_thread:
                self._end_thread()

    def _take_commands(self) -> bool:
        """Empty the inbox, sleeping on it while there is nothing to do."""
        timeout = self._roster.seconds_until_due()
        if timeout is not None:
            timeout = min(timeout, _MOST_SLEEP_SECONDS)
        while True:
            self._awake_since = None
            try:
                command = self._inbox.get(timeout != 0, timeout)
            except queue.Empty:
                return True
            finally:
                self._awake_since = time.monotonic()
            timeout = 0
            match command:
                case Group():
                    self._roster.take(command)
                case _Prepared(loaded, group, made):
                    self._roster.prepared(loaded, group, made)
                case _Cancel(ticket):
                    self._roster.cancel(ticket)
                case _Unload(key, sink):
                    self._roster.unload(key, sink)
                case _Wake():
                    pass
                case _Look():
                    self._roster.admit_parked()
                case _Close():
                    return False

    def _refuse_inbox(self) -> None:
        while True:
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return
            match command:
                case Group():
                    for job in command.jobs:
                        emit(job.sink, Failed(EngineClosed("The engine has stopped.")))
                case _Unload(_, sink):
                    emit(sink, Unloaded())
                case _:
                    pass

    # -- Threads that make prompts --------------------------------------------

    def _start_preparing(self, loaded: LoadedModel, group: Group) -> None:
        request, prompter = group.request, loaded.backend.prompter
        assert not isinstance(request, LoadRequest)
        group.reading_pictures = has_images(request)

        def run() -> None:
            try:
                seen = self._pictures.seen(request, wanted=lambda: bool(group.jobs))
                group.reading_pictures = False
                made: Made | InferenceError = make(seen, prompter, group.model)
            except InferenceError as error:
                made = error
            except Exception:
                log.exception("A prompt for %s could not be made", group.model.name)
                made = InferenceError("The request failed unexpectedly: see the log.")
            self._inbox.put(_Prepared(loaded, group, made))

        threading.Thread(target=run, name=f"prompt-{group.jobs[0].ticket}", daemon=True).start()
