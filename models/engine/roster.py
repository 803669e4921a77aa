"""The models of one lane, and who waits for them: found, opened, stepped and let go.

Nothing here waits: a lane's thread calls it, and sleeps in between.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from models.engine.backend import key_of
from models.engine.house import House, Runner
from models.engine.job import Group, State
from models.engine.loaded import LoadedModel, Told
from models.engine.work import Made
from models.errors import EngineClosed, InferenceError, ServerBusy
from models.events import Event, Failed, Finished, FinishReason, Last, Sink, TextDelta, Unloaded
from models.model import Model
from models.resident import Resident

log = logging.getLogger(__name__)

_MOST_WAITING = 512  # requests; Ollama's OLLAMA_MAX_QUEUE
# How often one looks for memory that others gave back, and for a model that says nothing.
_LOOK_SECONDS = 1.0
_PUBLISH_SECONDS = 0.5  # between two words on how fast a model is


class Roster:
    """Args:
    wake: has the lane ask again whether there is work; any thread may call it.
    look: has the lane try those again who wait for memory; likewise.
    start_preparing: makes the prompt of a group elsewhere: see ``LoadedModel``.
    """

    def __init__(
        self,
        runner: Runner,
        house: House,
        *,
        wake: Callable[[], None],
        look: Callable[[], None],
        start_preparing: Callable[[LoadedModel, Group], None],
    ) -> None:
        self.residents: tuple[Resident, ...] = ()  # may be read from any thread
        self._runner = runner
        self._house = house
        self._wake = wake
        self._look = look
        self._start_preparing = start_preparing
        self._loaded: dict[str, LoadedModel] = {}
        self._parked: deque[Group] = deque()  # for memory, or a model that drains
        self._memory_short = False  # one of them waits for memory
        self._next_look = math.inf  # when to try them at the latest, by time.monotonic
        self._next_publish = 0.0

    # -- Steps ----------------------------------------------------------------

    def step(self) -> None:
        """Give every model its turn, and let those go whose time has come."""
        for loaded in list(self._loaded.values()):
            self._step(loaded)
        for loaded in [each for each in self._loaded.values() if each.done]:
            self._tell(loaded, ())
        for loaded in [each for each in self._loaded.values() if each.drafts_lose]:
            self._load_without_drafts(loaded)
        now = time.monotonic()
        if now >= self._next_look:
            self.admit_parked()
        if now >= self._next_publish and any(each.busy for each in self._loaded.values()):
            self._publish()

    def seconds_until_due(self) -> float | None:
        """How long nothing needs doing; None: until a command comes."""
        loaded = self._loaded.values()
        if any(each.backend.has_work() for each in loaded):
            return 0
        ends = (each.expires for each in loaded if each.idle)
        seconds = min(self._next_look, *ends, math.inf) - time.monotonic()
        if any(each.busy for each in loaded):
            seconds = min(seconds, _LOOK_SECONDS)  # is it still there?
        return None if seconds == math.inf else max(0.0, seconds)

    def _step(self, loaded: LoadedModel) -> None:
        was_ready = loaded.ready
        try:
            self._tell(loaded, loaded.step())
        except InferenceError as error:  # this model's trouble alone
            self._drop(loaded, error)
        except Exception:
            log.exception("%s failed in a step", loaded.spec.model.name)
            self._drop(loaded, _unexpected(loaded.spec.model))
        else:
            held = loaded.spec.key in self._loaded  # or it was only to be loaded, and is gone
            if loaded.ready and not was_ready and held:
                self._house.loaded(loaded.spec)
                self._publish()

    # -- Requests ------------------------------------------

    def take(self, group: Group) -> None:
        waiting = sum(each.count for each in self._loaded.values())
        waiting += sum(len(each.jobs) for each in self._parked)
        if waiting + len(group.jobs) > _MOST_WAITING:
            message = "Too many requests are waiting already: please try again later."
            self._fail(group, ServerBusy(message))
        elif any(key_of(each.model) == key_of(group.model) for each in self._parked):
            self._park(group)  # nobody overtakes those who want the same model
        else:
            self._route(group)

    def _route(self, group: Group) -> None:
        """Bring a group to its model, or park it."""
        try:
            loaded = self._find_or_open(group)
        except InferenceError as error:
            self._fail(group, error)
        except Exception:
            log.exception("%s could not be opened", group.model.name)
            self._fail(group, _unexpected(group.model))
        else:
            if loaded is None:
                self._park(group)
                return
            told = list(loaded.add(group))
            self._publish()
            self._tell(loaded, told)

    def _park(self, group: Group) -> None:
        group.move(State.PARKED)
        self._parked.append(group)
        self._next_look = min(self._next_look, time.monotonic() + _LOOK_SECONDS)

    def admit_parked(self) -> None:
        """Try those who were parked again, in their order."""
        self._next_look = math.inf
        self._memory_short = False
        waiting, self._parked = self._parked, deque()
        for group in waiting:
            self.take(group)
        if waiting and not self._memory_short:
            self._house.gave_up(self)

    def _find_or_open(self, group: Group) -> LoadedModel | None:
        """Return the model as it is asked for, opening it where needed; None: not yet."""
        asked_context = group.request.context_length
        loaded = self._alive(key_of(group.model))
        if loaded and not loaded.draining and loaded.serves(group.model, asked_context):
            return loaded
        if loaded:
            loaded.draining = True  # what it has ends first, and nobody new delays that
            if loaded.busy:
                return None
            self._tell(loaded, ())  # which closes it
        if self._memory_short:
            return None  # who came earlier is served first
        return self._open(group.model, asked_context)

    def _alive(self, key: str) -> LoadedModel | None:
        """Return the model if it is held. One that has just crashed is dropped first."""
        loaded = self._loaded.get(key)
        if loaded and loaded.ready:
            try:
                loaded.backend.load()
            except InferenceError as error:
                self._drop(loaded, error)
                return None
        return loaded

    def _open(self, model: Model, asked_context: int | None) -> LoadedModel | None:
        spec = self._house.plan(self, self._look, model, asked_context)
        if spec is None:
            self._memory_short = True
            return None
        try:
            backend = self._runner.open_backend(spec, self._wake)
        except BaseException:
            self._house.let_go(spec)
            raise
        loaded = LoadedModel(spec, backend, self._house.keep_alive_seconds, self._start_preparing)
        self._loaded[spec.key] = loaded
        return loaded

    def prepared(self, loaded: LoadedModel, group: Group, made: Made | InferenceError) -> None:
        """Take what ``start_preparing`` has made."""
        if self._loaded.get(loaded.spec.key) is loaded:
            self._tell(loaded, loaded.prepared(group, made))

    def cancel(self, ticket: int) -> None:
        for group in list(self._parked):
            if job := group.take_out(ticket):
                if not group.jobs:
                    self._parked.remove(group)
                    self._house.gave_up(self)  # who still waits takes a new place
                    self._next_look = time.monotonic()
                job.move(State.ENDED)
                emit(job.sink, Finished(FinishReason.CANCELLED))
        for loaded in list(self._loaded.values()):
            self._tell(loaded, loaded.cancel(ticket))

    # -- Letting go ----------------------------------------

    def _load_without_drafts(self, loaded: LoadedModel) -> None:
        spec = loaded.spec
        log.warning("'%s' is slower with its drafts: it is loaded without", spec.model.name)
        self._house.drafts_lost(spec)
        self._close(loaded)
        try:
            again = self._open(spec.model, spec.context_length)
        except InferenceError as error:  # the next request hears it
            log.warning("%s", error)
            return
        if again:
            again.follow(loaded)
        else:  # others have taken the memory: the next request waits for it
            self._memory_short = False
            self._house.gave_up(self)
        self._publish()

    def unload(self, key: str, sink: Sink) -> None:
        if loaded := self._loaded.get(key):
            loaded.unload(sink)
            self._tell(loaded, ())
        else:
            emit(sink, Unloaded())

    def _close(self, loaded: LoadedModel) -> None:
        if self._loaded.pop(loaded.spec.key, None) is None:
            return
        try:
            loaded.backend.close()
        except Exception:
            log.exception("A model could not be closed cleanly")
        self._house.let_go(loaded.spec)
        if self._parked:
            self._next_look = time.monotonic()
        self._publish()

    def _drop(self, loaded: LoadedModel, error: InferenceError) -> None:
        """Forget a dead model; the next request for it loads it again."""
        self._close(loaded)
        for sink, event in loaded.fail(error):
            emit(sink, event)

    def _fail(self, group: Group, error: InferenceError) -> None:
        group.move(State.ENDED)
        for job in group.jobs:
            emit(job.sink, Failed(error.again()))

    def close(self) -> None:
        """Fail what runs and waits, and unload every model."""
        error = EngineClosed("The engine has stopped: the program is shutting down.")
        for loaded in list(self._loaded.values()):
            self._drop(loaded, error)
        for group in self._parked:
            self._fail(group, error)
        self._parked.clear()
        self._house.gave_up(self)

    # -- Telling -------------------------------------------

    def _tell(self, loaded: LoadedModel, told: Iterable[Told]) -> None:
        """Tell what came of a model, and close it first where that was its last.

        So whoever hears an end finds the model gone that went with it.
        """
        events: list[Told] = []
        try:
            for each in told:
                events.append(each)
        finally:  # what was said before something broke is still said
            if loaded.done and loaded.spec.key in self._loaded:
                self._close(loaded)
                events += loaded.closed()
            elif any(isinstance(event, Last) for _, event in events):
                self._publish()
            for sink, event in events:
                emit(sink, event)

    def _publish(self) -> None:
        self._next_publish = time.monotonic() + _PUBLISH_SECONDS
        self.residents = tuple(loaded.resident() for loaded in self._loaded.values())


def emit(sink: Sink, event: Event) -> None:
    # A sink belongs to a window or a socket that may be gone by now. That is
    # its trouble alone: the other generations in the batch go on.
    try:
        sink(event)
    except Exception:
        kind = "a piece of text" if isinstance(event, TextDelta) else repr(event)
        log.exception("A sink could not take %s", kind)


def _unexpected(model: Model) -> InferenceError:
    return InferenceError(f"Model '{model.name}' failed unexpectedly: see the log.")
