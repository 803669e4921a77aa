"""The one door to the engines, and the one that decides which models stay in memory."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeAlias

from models import abilities
from models.chat import (
    GenerateRequest,
    LoadRequest,
    ModelRequest,
    Origin,
    Request,
    UnloadRequest,
)
from models.engine.backend import key_of
from models.engine.house import Runner
from models.engine.job import Group, Job
from models.engine.lane import Lane
from models.errors import EngineClosed, InferenceError, LoadFailed, ModelNotFound
from models.events import Event, Failed, Last, Sink
from models.health import STUCK_SECONDS, Health, Watch, health_of
from models.ledger import Ledger
from models.model import Kind, Model
from models.names import ModelName
from models.pictures import Pictures
from models.planner import Planner
from models.profiles import filled
from models.resident import Resident, Running
from models.spelling import Spelling
from models.totals import Tally, Totals

if TYPE_CHECKING:
    from models.engine.prompt import Prompter

DEFAULT_KEEP_ALIVE_SECONDS = 300.0

FindModel: TypeAlias = Callable[[str], Model]
"""Finds an installed model by its name. Raises ModelNotFound, InvalidModelName, LoadFailed."""


class Counting(Protocol):
    """What is needed of ``models.engine.counting.Counter``."""

    def prompter(self, model: Model) -> "Prompter": ...

    def spelling(self, model: Model) -> Spelling: ...

    def close(self) -> None: ...


class Residency:
    """Routes each request to its lane, and decides what fits into memory.

    Everything may be called from any thread and waits for no model. A model is loaded when
    the first request for it arrives, and goes ``keep_alive_seconds`` after the last. When
    memory is short, the least recently used idle model goes first.

    Args:
        runners: by kind of model; a kind without one is refused with a sentence.
        context_length: the default for every model, in tokens; None: by model and memory.
        make_counter: makes what counts tokens of models that are not loaded, at first need.
        pictures: reads those of requests; None: from the public web, or as they come.
        stuck_seconds: after so long without a step, whoever has work counts as stuck.
    """

    def __init__(
        self,
        find: FindModel,
        runners: Mapping[Kind, Runner],
        *,
        keep_alive_seconds: float = DEFAULT_KEEP_ALIVE_SECONDS,
        context_length: int | None = None,
        ledger: Ledger | None = None,
        make_counter: Callable[[], "Counting"] | None = None,
        pictures: Pictures | None = None,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._find = find
        self._runners = runners
        self._planner = Planner(
            ledger or Ledger(),
            self._evict_one,
            find,
            keep_alive_seconds=keep_alive_seconds,
            context_length=context_length,
        )
        self._make_counter = make_counter
        self._stuck_seconds = stuck_seconds
        self._pictures = pictures or Pictures()
        self._counter: Counting | None = None  # once something is to be counted
        self._tickets = count(1)
        self._tally = Tally()
        self._lock = threading.Lock()  # protects the three below
        self._lanes: dict[str, Lane] = {}
        self._closed = False
        self._watch: Watch | None = None  # once there is a lane
        self._running: dict[int, tuple[Lane, Running]] = {}  # one operation each: no lock

    # -- Requests -------------------------------------------------------------

    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int:
        """Start a request; return the ticket that cancels it.

        Whatever is wrong with it comes as ``Failed``, perhaps before this returns.
        """
        if isinstance(request, UnloadRequest):
            return self._unload(request, sink)
        (ticket,) = self._submit(request, (request,), (sink,), origin)
        return ticket

    def submit_group(
        self,
        request: GenerateRequest,
        seeds: Sequence[int | None],
        sinks: Sequence[Sink],
        *,
        origin: Origin,
    ) -> tuple[int, ...]:
        """Start several generations of one prompt, each with a seed, a sink and a ticket."""
        requests = [
            replace(request, sampling=replace(request.sampling, seed=seed)) for seed in seeds
        ]
        return self._submit(request, requests, sinks, origin)

    def cancel(self, ticket: int) -> None:
        """Harmless once the request is over."""
        if running := self._running.get(ticket):
            running[0].cancel(ticket)

    def count_tokens(self, request: GenerateRequest) -> int:
        """Count the tokens of a prompt, for which its model is not loaded. It may take seconds.

        Raises:
            InferenceError: there is no such model, or its prompt cannot be made.
        """
        model = self._find(request.model)
        (request,) = filled((request,), model.profile)
        return self._counting().prompter(model).count(self._pictures.seen(request))

    def spelling(self, model: str) -> Spelling:
        """Return what shows the tokens of a model, which is not loaded for that.

        Raises:
            InferenceError: there is no such model, or its files cannot be read.
        """
        return self._counting().spelling(self._find(model))

    def running(self) -> tuple[Running, ...]:
        """Return the requests that have not ended, the oldest first."""
        return tuple(running for _, running in self._running.copy().values())

    # -- Models ---------------------------------------------------------------

    def residents(self) -> tuple[Resident, ...]:
        """Return the models in memory or on their way there."""
        return tuple(each for lane in self._all_lanes() for each in lane.residents())

    def totals(self) -> Totals:
        """Return what has been read and written since the start, by models that are gone too."""
        return self._tally.totals

    def health(self) -> Health:
        """Say whether the engines do their work. What is wrong is also logged, once."""
        return health_of(self._all_lanes(), self._stuck_seconds)

    def configure(self, *, keep_alive_seconds: float, context_length: int | None) -> None:
        """Change the defaults: the context's for models that are loaded from now on."""
        self._planner.configure(
            keep_alive_seconds=keep_alive_seconds, context_length=context_length
        )
        for lane in self._all_lanes():
            lane.refresh()

    def close(self) -> None:
        """Fail what is running, unload everything, and wait for both."""
        with self._lock:
            self._closed = True
        if self._watch:  # first: that lanes end now is no trouble
            self._watch.close()
        for lane in self._all_lanes():
            lane.begin_closing()
        for lane in self._all_lanes():
            lane.close()
        if self._counter:
            self._counter.close()

    # -- Inside ---------------------------------------------------------------

    def _submit(
        self,
        request: ModelRequest,
        requests: Sequence[ModelRequest],
        sinks: Sequence[Sink],
        origin: Origin,
    ) -> tuple[int, ...]:
        tickets = tuple(next(self._tickets) for _ in sinks)
        try:
            model = self._find(request.model)
            abilities.check_profile(model)
            requests = filled(requests, model.profile)
            request = requests[0]
            if not isinstance(request, LoadRequest):
                abilities.check(request, model)
            lane = self._lane(model)
        except InferenceError as error:
            for sink in sinks:
                sink(Failed(error.again()))
            return tickets
        now = time.monotonic()
        group = Group(model)
        for ticket, asked, sink in zip(tickets, requests, sinks, strict=True):
            self._running[ticket] = lane, Running(ticket, request.model, origin, now)
            group.jobs.append(Job(ticket, asked, self._watched(ticket, sink), origin, now))
        lane.submit(group)
        return tickets

    def _watched(self, ticket: int, sink: Sink) -> Sink:
        def watched(event: Event) -> None:
            if isinstance(event, Last):
                self._running.pop(ticket, None)
                self._tally.take(event)
            sink(event)

        return watched

    def _unload(self, request: UnloadRequest, sink: Sink) -> int:
        ticket = next(self._tickets)
        try:
            name = ModelName.parse(request.model).key
            # What is loaded is found by its name even if its record is gone, or is another's.
            targets = {
                key_of(each.model): lane
                for lane in self._all_lanes()
                for each in lane.residents()
                if name in each.names
            }
            try:
                model = self._find(request.model)
                targets[key_of(model)] = self._lane(model)
            except (ModelNotFound, LoadFailed):
                if not targets:
                    raise
        except InferenceError as error:
            sink(Failed(error))
            return ticket
        told = sink
        for key, lane in targets.items():
            lane.unload(key, told)
            told = _ignore
        return ticket

    def _counting(self) -> Counting:
        with self._lock:
            if self._closed:
                raise EngineClosed("The program is shutting down.")
            if self._counter is None and self._make_counter:
                self._counter = self._make_counter()
        if self._counter is None:
            raise LoadFailed("Tokens cannot be counted here.")
        return self._counter

    def _all_lanes(self) -> tuple[Lane, ...]:
        with self._lock:
            return tuple(self._lanes.values())

    def _lane(self, model: Model) -> Lane:
        runner = self._runners.get(model.kind)
        if runner is None:
            raise LoadFailed(
                f"Model '{model.name}' is in MLX format, and MLX is not installed here: "
                "choose a GGUF model, or install Inglenook's 'mlx' extra."
            )
        # Threads are few and sleep: a lane stays until the end, also without a model.
        name = model.kind.value if model.kind is Kind.MLX else key_of(model)[:14]
        with self._lock:
            if self._closed:
                raise EngineClosed("The program is shutting down.")
            self._watch = self._watch or Watch(self.health)
            if name not in self._lanes:
                self._lanes[name] = Lane(name, runner, self._planner, self._pictures)
            return self._lanes[name]

    def _evict_one(self) -> None:
        """Let the least recently used idle model go. With none idle, waiting is all there is."""
        lanes = self._all_lanes()
        idle = [(each, lane) for lane in lanes for each in lane.residents() if each.idle]
        if idle:
            victim, lane = min(idle, key=lambda each: each[0].last_used)
            lane.unload(key_of(victim.model), _ignore)


def _ignore(event: Event) -> None:
    """Nobody waits for it."""
