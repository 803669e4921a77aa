"""A model that is loaded, or loading: its backend, its queue and its generations.

No threads and no clock to wait on: a lane calls it, and it says what is to be told to whom.
While it drains, what it has goes on and nobody new is let in.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from models.chat import LoadRequest, ModelRequest
from models.engine.backend import Backend, Decoded, LoadSpec, Output, Prefilled
from models.engine.job import Group, Job, State, are_enough
from models.engine.pace import Pace
from models.engine.work import Made, insert
from models.errors import InferenceError
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Last,
    Loaded,
    Progress,
    Sink,
    Stage,
    Unloaded,
)
from models.model import Model
from models.resident import Resident, moment_in

log = logging.getLogger(__name__)

Told: TypeAlias = tuple[Sink, Event]


class LoadedModel:
    """Only its lane's thread calls it.

    ``start_preparing`` makes the prompt of a group elsewhere, and has ``prepared`` called
    with what came of it.
    """

    def __init__(
        self,
        spec: LoadSpec,
        backend: Backend,
        default_keep_alive: Callable[[], float],
        start_preparing: Callable[["LoadedModel", Group], None],
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.ready = False
        self.draining = False
        self._model = spec.model
        self._names = {spec.model.name.key}
        self._default_keep_alive = default_keep_alive  # seconds, as it is set now
        self._keep_alive_seconds: float | None = None  # as a request has asked for
        self._start_preparing = start_preparing
        self._last_used = time.monotonic()
        self._told_bytes = -1  # of the weights, in the latest word on loading
        self._waiting: deque[Group] = deque()  # for it to be ready, or for their preparation
        self._preparing: list[Group] = []
        self._running: dict[int, Job] = {}
        self._unloaders: list[Sink] = []  # of those who asked for its end
        self._pace = Pace()

    # -- What it is -----------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self._running or self._waiting or self._preparing)

    @property
    def count(self) -> int:
        """How many requests it has, waiting ones included."""
        return len(self._running) + self._count_not_inserted()

    @property
    def idle(self) -> bool:
        return self.ready and not self.busy

    @property
    def done(self) -> bool:
        """Whether it is to be closed now."""
        if self.draining:
            return not self.busy
        return self.idle and self.expires <= time.monotonic()

    @property
    def expires(self) -> float:
        """When it goes if nobody comes, by ``time.monotonic``."""
        wished = (self._keep_alive_seconds, self._model.profile.keep_alive_seconds)
        said = [each for each in wished if each is not None]
        return self._last_used + (said[0] if said else self._default_keep_alive())

    @property
    def drafts_lose(self) -> bool:
        """Whether it would be faster without its drafts, and nobody waits for it now."""
        return self.idle and not self.draining and self.backend.counters.drafts_lose

    def serves(self, model: Model, asked_context: int | None) -> bool:
        """Whether it was loaded as the profile now says, and its context is as long as is
        asked for, or as the model can have it."""
        if model.profile.at_load != self.spec.model.profile.at_load:
            return False
        trained = self._model.details.context_length
        wanted = min(asked_context or 0, trained or asked_context or 0)
        return wanted <= self.spec.context_length

    def resident(self) -> Resident:
        counters = self.backend.counters
        return Resident(
            model=self._model,
            names=frozenset(self._names),
            loading=not self.ready,
            need=self.spec.need,
            loaded_bytes=self.backend.loaded_bytes,
            context_length=self.spec.context_length,
            expires_at=moment_in(self.expires - time.monotonic()),
            running=self.count,
            last_used=self._last_used,
            queued=self._count_not_inserted() + counters.waiting_sequences,
            doing=self._pace.doing(stepping=bool(self._running)),
            counters=counters,
            drafts=self.spec.model.profile.drafts,
            drafts_lost=bool(self.spec.model.profile.drafts) and not self.spec.drafts,
        )

    def follow(self, earlier: "LoadedModel") -> None:
        """Be known and kept as the same model was that was loaded otherwise before."""
        self._model, self._names = earlier._model, earlier._names
        self._last_used = earlier._last_used
        self._keep_alive_seconds = earlier._keep_alive_seconds

    # -- Requests -------------------------------------------------------------

    def add(self, group: Group) -> Iterator[Told]:
        """Take a group in; only while it is not draining."""
        group.move(State.WAITING)
        self._called(group.model)
        self._waiting.append(group)
        if self.ready:
            yield from self._advance()
        else:
            yield from self._tell_loading([group])

    def prepared(self, group: Group, made: Made | InferenceError) -> Iterator[Told]:
        """Take what was made for a group, or what was wrong with it."""
        if group not in self._preparing:
            return  # all of it was cancelled meanwhile
        self._preparing.remove(group)
        if isinstance(made, InferenceError):
            for job in group.jobs:
                yield self._end(job, Failed(made.again()))
        else:
            yield from self._insert(group, made)
        yield from self._advance()

    def cancel(self, ticket: int) -> Iterator[Told]:
        """End a request before its next token. Harmless where it is unknown or over."""
        if job := self._running.pop(ticket, None):
            self.backend.remove(ticket)
            assert job.generation
            yield self._end(job, job.generation.cancel())
            return
        for groups in (self._waiting, self._preparing):
            for group in list(groups):
                if job := group.take_out(ticket):
                    if not group.jobs:
                        groups.remove(group)
                    yield self._end(job, Finished(FinishReason.CANCELLED))
        yield from self._advance()

    def unload(self, sink: Sink) -> None:
        """Let it go when what it has is done; ``sink`` is told."""
        self._unloaders.append(sink)
        self.draining = True

    # -- Steps ----------------------------------------------------------------

    def step(self) -> Iterator[Told]:
        """Go on with loading, or give each sequence its turn.

        Raises:
            LoadFailed, OutOfMemory, ModelCrashed: it is of no more use.
        """
        if not self.ready:
            self.ready = self.backend.load()
            if not self.ready:
                yield from self._tell_loading(self._waiting)
                return
            yield from self._advance()
        if self.backend.has_work():
            for output in self.backend.step():
                self._pace.take(output)
                yield from self._deliver(output)
        elif self.busy:
            self.backend.load()  # which raises where nothing is to be hoped for any more

    def fail(self, error: InferenceError) -> Iterator[Told]:
        """Tell everybody that it is gone."""
        jobs = list(self._running.values())
        jobs += [job for group in (*self._preparing, *self._waiting) for job in group.jobs]
        self._running.clear()
        self._preparing.clear()
        self._waiting.clear()
        for job in jobs:
            yield self._end(job, Failed(error.again()))
        yield from self.closed()

    def closed(self) -> Iterator[Told]:
        """Tell those who asked for its end that it has come."""
        for sink in self._unloaders:
            yield sink, Unloaded()
        self._unloaders.clear()

    # -- Inside ---------------------------------------------------------------

    def _count_not_inserted(self) -> int:
        return sum(len(each.jobs) for each in (*self._waiting, *self._preparing))

    def _called(self, model: Model) -> None:
        self._model = model
        self._names.add(model.name.key)

    def _advance(self) -> Iterator[Told]:
        """Prepare as many prompts as may be in preparation."""
        while self._waiting and self.ready:
            if are_enough(self._preparing):
                return
            group = self._waiting.popleft()
            self._use(group.request)
            if isinstance(group.request, LoadRequest):
                for job in group.jobs:
                    yield self._end(job, Loaded(time.monotonic() - job.submitted))
                continue
            group.move(State.PREPARING)
            self._preparing.append(group)
            self._start_preparing(self, group)

    def _use(self, request: ModelRequest) -> None:
        self._last_used = time.monotonic()
        if request.keep_alive_seconds is not None:
            self._keep_alive_seconds = request.keep_alive_seconds

    def _insert(self, group: Group, made: Made) -> Iterator[Told]:
        try:
            insert(self.backend, group, made)
        except InferenceError as error:
            failure = error
        except Exception:
            log.exception("A request to %s could not be started", self._model.name)
            failure = InferenceError("The request failed unexpectedly: see the log.")
        else:
            if not self._running:
                self._pace.resume()
            for job in group.jobs:
                job.move(State.INSERTED)
                self._running[job.ticket] = job
            return
        for job in group.jobs:
            yield self._end(job, Failed(failure.again()))

    def _deliver(self, output: Output) -> Iterator[Told]:
        job = self._running.get(output.ticket)
        if job is None:
            return  # a stop string or a cancel ended it earlier in this same step
        assert job.generation
        if job.state is State.INSERTED and isinstance(output, Prefilled | Decoded):
            job.move(State.DECODING)
        for event in job.generation.take(output):
            if isinstance(event, Last):
                del self._running[output.ticket]
                self.backend.remove(output.ticket)
                yield self._end(job, event)
                return
            yield job.sink, event

    def _end(self, job: Job, last: Event) -> Told:
        job.move(State.ENDED)
        self._last_used = time.monotonic()
        return job.sink, last

    def _tell_loading(self, groups: Iterable[Group]) -> Iterator[Told]:
        done = min(self.backend.loaded_bytes, self._model.size_bytes)
        if groups is self._waiting and done == self._told_bytes:
            return  # nothing new
        self._told_bytes = done
        event = Progress(Stage.LOADING, done, self._model.size_bytes)
        for group in groups:
            for job in group.jobs:
                yield job.sink, event
