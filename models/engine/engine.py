"""The engine: one thread, an inbox, and the models it steps.

The program has one Engine for each kind of backend. The MLX engine's thread owns
the GPU and makes every mlx call; the llama.cpp engine's backends are child
processes, and its thread collects what they have said.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from models import events
from models.chat import GenerateRequest, LoadRequest, Request, UnloadRequest
from models.engine.backend import (
    Backend,
    LoadPlan,
    OpenBackend,
    Output,
    Prefilled,
    SequenceFailed,
    Token,
)
from models.engine.decoder import Decoder
from models.engine.prompt import encode
from models.engine.state import Active, Job, Loaded, Resident
from models.errors import EngineClosed, InferenceError, ServerBusy
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Sink,
    Started,
    TextDelta,
    Unloaded,
)
from models.model import Model

log = logging.getLogger(__name__)

DEFAULT_KEEP_ALIVE_SECONDS = 300.0
_MOST_WAITING = 512  # requests; Ollama's OLLAMA_MAX_QUEUE
_RETRY_SECONDS = 0.05  # how often a request that waits for memory asks again

MakePlan: TypeAlias = Callable[[Model, int | None], LoadPlan | None]
"""Decides how to load a model, given the context length asked for.

Called on an engine's thread. None: room is being made, ask again.

Raises:
    OutOfMemory: there will never be room.
"""


@dataclass(frozen=True, slots=True)
class _Cancel:
    ticket: int


class _Wake:
    pass


class _Close:
    pass


_Command: TypeAlias = Job | _Cancel | _Wake | _Close


class Engine:
    """Runs generations, many at once, on one thread.

    ``submit``, ``cancel`` and ``residents`` may be called from any thread and never wait
    for a model. Sinks are called on the engine thread, so a sink hands its event over
    and returns.

    ``end_thread`` is the last thing that the thread calls.
    """

    def __init__(
        self,
        name: str,
        open_backend: OpenBackend,
        make_plan: MakePlan,
        *,
        keep_alive_seconds: float = DEFAULT_KEEP_ALIVE_SECONDS,
        end_thread: Callable[[], None] | None = None,
    ) -> None:
        self._open_backend = open_backend
        self._make_plan = make_plan
        self.keep_alive_seconds = keep_alive_seconds
        self._end_thread = end_thread
        self._inbox: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._residents: tuple[Resident, ...] = ()
        # Touched by the engine thread only:
        self._loaded: dict[str, Loaded] = {}
        self._active: dict[int, Active] = {}
        self._parked: deque[Job] = deque()  # wait for memory, or for a model to be idle
        self._retried = 0.0  # when they were last asked about
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)
        self._thread.start()

    # -- Any thread -----------------------------------------------------------

    def submit(self, ticket: int, model: Model, request: Request, sink: Sink) -> None:
        """Start a request; ``ticket`` is the number that cancels it."""
        self._inbox.put(Job(ticket, model, request, sink, time.monotonic()))
        if self._closed.is_set():
            self._refuse_inbox()

    def cancel(self, ticket: int) -> None:
        """End a request before its next token.

        Harmless once it is over, and in an engine that never had it.
        """
        self._inbox.put(_Cancel(ticket))

    def residents(self) -> tuple[Resident, ...]:
        """Return the models held now."""
        return self._residents

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Fail what is running, unload every model, and wait for both."""
        self._inbox.put(_Close())
        self._thread.join()

    # -- Engine thread: the loop ----------------------------------------------

    def _run(self) -> None:
        try:
            while self._take_commands():
                self._retry_parked()
                for loaded in list(self._loaded.values()):
                    self._step(loaded)
                self._expire()
        finally:  # on a bug too: a crashed engine must not leave a caller waiting
            self._shut_down()

    def _take_commands(self) -> bool:
        """Empty the inbox, sleeping on it while there is nothing to do."""
        timeout = self._patience()
        while True:
            try:
                command = self._inbox.get(timeout != 0, timeout)
            except queue.Empty:
                return True
            timeout = 0
            match command:
                case Job():
                    self._take(command)
                case _Cancel(ticket):
                    self._cancel(ticket)
                case _Wake():
                    pass
                case _Close():
                    return False

    def _patience(self) -> float | None:
        """How long nothing needs doing, in seconds; None: until a command comes."""
        if any(loaded.backend.has_work() for loaded in self._loaded.values()):
            return 0
        if self._parked:
            return _RETRY_SECONDS
        ends = min((each.expires for each in self._loaded.values() if each.idle), default=math.inf)
        # threading cannot wait for longer than TIMEOUT_MAX.
        return None if ends == math.inf else min(max(0.0, ends - time.monotonic()), 86_400.0)

    def _step(self, loaded: Loaded) -> None:
        try:
            if not loaded.ready and loaded.backend.ready():
                self._became_ready(loaded)
            for output in loaded.backend.step() if loaded.backend.has_work() else ():
                self._deliver(output)
        except InferenceError as error:  # this model's trouble alone
            self._drop(loaded, error)
        except Exception:
            log.exception("%s failed in a step", loaded.model.name)
            error = InferenceError(f"Model '{loaded.model.name}' failed unexpectedly: see the log.")
            self._drop(loaded, error)

    def _expire(self) -> None:
        now = time.monotonic()
        for loaded in list(self._loaded.values()):
            if loaded.idle and loaded.expires <= now:
                self._unload(loaded)

    # -- Engine thread: requests ----------------------------------------------

    def _take(self, job: Job) -> None:
        if isinstance(job.request, UnloadRequest):
            self._take_unload(job)
        elif self._waiting_count() >= _MOST_WAITING:
            error = ServerBusy("Too many requests are waiting already: please try again later.")
            _emit(job.sink, Failed(error))
        else:
            self._route(job, job.request)

    def _waiting_count(self) -> int:
        waiting = sum(len(loaded.waiting) for loaded in self._loaded.values())
        return len(self._parked) + len(self._active) + waiting

    def _route(self, job: Job, request: GenerateRequest | LoadRequest) -> None:
        """Bring a request to its model: now, when it has loaded, or when there is room."""
        try:
            loaded = self._holding(job.model, request.context_length)
        except InferenceError as error:
            _emit(job.sink, Failed(error))
            return
        except Exception:
            log.exception("%s could not be opened", job.model.name)
            error = InferenceError(f"Model '{job.model.name}' failed unexpectedly: see the log.")
            _emit(job.sink, Failed(error))
            return
        if loaded is None:
            self._parked.append(job)
        elif loaded.ready:
            self._start(loaded, job, request)
        else:
            loaded.waiting.append(job)
        self._publish()

    def _holding(self, model: Model, asked_context: int | None) -> Loaded | None:
        """Return the model as asked for, opening it where needed; None: not yet."""
        loaded = self._alive(model)
        if loaded and loaded.suits(model, asked_context):
            return loaded
        if loaded and not loaded.idle:
            return None  # its generations end first
        if loaded:
            self._unload(loaded)
        plan = self._make_plan(model, asked_context)
        if plan is None:
            return None
        backend = self._open_backend(plan, self._wake)
        loaded = Loaded(model, plan, backend, self.keep_alive_seconds)
        self._loaded[model.name.key] = loaded
        return loaded

    def _alive(self, model: Model) -> Loaded | None:
        """Return the model if it is held. One that has just crashed is dropped first."""
        loaded = self._loaded.get(model.name.key)
        if loaded and loaded.ready:
            try:
                loaded.backend.ready()
            except InferenceError as error:
                self._drop(loaded, error)
                return None
        return loaded

    def _wake(self) -> None:  # called from any thread
        self._inbox.put(_Wake())

    def _retry_parked(self) -> None:
        if time.monotonic() - self._retried < _RETRY_SECONDS:
            return
        self._retried = time.monotonic()
        for _ in range(len(self._parked)):
            job = self._parked.popleft()
            if not isinstance(job.request, UnloadRequest):
                self._route(job, job.request)

    def _became_ready(self, loaded: Loaded) -> None:
        loaded.ready = True
        while loaded.waiting:
            job = loaded.waiting.popleft()
            if not isinstance(job.request, UnloadRequest):
                self._start(loaded, job, job.request)
        self._publish()

    def _start(self, loaded: Loaded, job: Job, request: GenerateRequest | LoadRequest) -> None:
        loaded.last_used = time.monotonic()
        if request.keep_alive_seconds is not None:
            loaded.keep_alive_seconds = request.keep_alive_seconds
        if isinstance(request, LoadRequest):
            self._publish()
            _emit(job.sink, events.Loaded(time.monotonic() - job.submitted))
            return
        try:
            self._admit(loaded, job, request)
        except InferenceError as error:
            _emit(job.sink, Failed(error))
        except Exception:
            log.exception("A request to %s could not be started", loaded.model.name)
            _emit(job.sink, Failed(InferenceError("The request failed unexpectedly: see the log.")))

    def _admit(self, loaded: Loaded, job: Job, request: GenerateRequest) -> None:
        started = time.monotonic()
        prompt = encode(loaded.backend, request)
        loaded.backend.insert(job.ticket, prompt.tokens, prompt.max_tokens, request)
        self._active[job.ticket] = Active(
            loaded,
            Decoder(request.stop),
            job.sink,
            prompt.tokens,
            job.submitted,
            started,
            request.want_tokens,
        )
        loaded.running.add(job.ticket)
        self._publish()
        _emit(job.sink, Started(len(prompt.tokens)))

    def _deliver(self, output: Output) -> None:
        active = self._active.get(output.ticket)
        if active is None:
            return  # a stop string or a cancel ended it earlier in this same step
        match output:
            case Prefilled(_, cached_tokens, at):
                active.prefilled = active.latest = at
                active.cached_tokens = cached_tokens
            case Token(ticket, piece, ids, finish, count, at):
                active.latest = at
                active.completion.extend(ids)
                active.completion_tokens += count
                deltas, finish = active.decoder.feed(piece, finish)
                for delta in deltas:
                    active.said.append(delta.text)
                    _emit(active.sink, delta)
                if finish:
                    self._finish(ticket, active.finished(finish))
            case SequenceFailed(ticket, error):
                self._finish(ticket, Failed(error))

    def _finish(self, ticket: int, last: Finished | Failed) -> None:
        active = self._active.pop(ticket)
        active.loaded.running.discard(ticket)
        active.loaded.last_used = time.monotonic()
        active.loaded.backend.remove(ticket)
        if active.loaded.idle and active.loaded.keep_alive_seconds <= 0:
            self._unload(active.loaded)
        self._publish()
        _emit(active.sink, last)

    def _cancel(self, ticket: int) -> None:
        if active := self._active.get(ticket):
            self._finish(ticket, active.finished(FinishReason.CANCELLED))
            return
        for jobs in (self._parked, *(loaded.waiting for loaded in self._loaded.values())):
            for job in [each for each in jobs if each.ticket == ticket]:
                jobs.remove(job)
                self._publish()
                _emit(job.sink, Finished(FinishReason.CANCELLED))

    # -- Engine thread: letting go --------------------------------------------

    def _take_unload(self, job: Job) -> None:
        if loaded := self._loaded.get(job.model.name.key):
            if loaded.idle or not (loaded.running or loaded.waiting):
                self._unload(loaded)
            else:
                loaded.keep_alive_seconds = 0.0  # it goes with its last generation
        _emit(job.sink, Unloaded())

    def _unload(self, loaded: Loaded) -> None:
        del self._loaded[loaded.model.name.key]
        _close(loaded.backend)
        self._publish()

    def _drop(self, loaded: Loaded, error: InferenceError) -> None:
        """Forget a dead model; the next request for it loads it again."""
        del self._loaded[loaded.model.name.key]
        _close(loaded.backend)
        tickets = list(loaded.running)
        sinks = [self._active.pop(ticket).sink for ticket in tickets]
        sinks += [job.sink for job in loaded.waiting]
        self._publish()
        for sink in sinks:
            _emit(sink, Failed(error))

    def _shut_down(self) -> None:
        self._closed.set()
        error = EngineClosed("The engine has stopped: the program is shutting down.")
        sinks = [active.sink for active in self._active.values()]
        sinks += [job.sink for job in self._parked]
        for loaded in self._loaded.values():
            sinks += [job.sink for job in loaded.waiting]
            _close(loaded.backend)
        self._active.clear()
        self._parked.clear()
        self._loaded.clear()
        self._publish()
        for sink in sinks:
            _emit(sink, Failed(error))
        self._refuse_inbox()
        if self._end_thread:
            self._end_thread()

    def _refuse_inbox(self) -> None:
        while True:
            try:
                command = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(command, Job):
                _emit(command.sink, Failed(EngineClosed("The engine has stopped.")))

    def _publish(self) -> None:
        self._residents = tuple(loaded.resident() for loaded in self._loaded.values())


def _emit(sink: Sink, event: Event) -> None:
    # A sink belongs to a window or a socket that may be gone by now. That is
    # its trouble alone: the other generations in the batch go on.
    try:
        sink(event)
    except Exception:
        kind = "a piece of text" if isinstance(event, TextDelta) else repr(event)
        log.exception("A sink could not take %s", kind)


def _close(backend: Backend) -> None:
    try:
        backend.close()
    except Exception:
        log.exception("A model could not be closed cleanly")
