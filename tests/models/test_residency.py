"""Who is loaded, who waits, and who goes: the door in front of the lanes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from models.chat import GenerateRequest, LoadRequest, Origin, SamplingParams, UnloadRequest
from models.engine.backend import LoadSpec, Work
from models.engine.house import Runner
from models.errors import ModelNotFound, NotAble
from models.events import Failed, Finished, FinishReason, Loaded, Started, TextDelta, Unloaded
from models.ledger import Ledger
from models.model import Kind, Model
from models.residency import Residency
from tests.fakes import A_TEST, ScriptedBackend, a_model, find_among, scripted_residency
from tests.listener import Listener

Built = Callable[[Residency], Residency]


@pytest.fixture
def built() -> Iterator[Built]:
    """Closes, after the test, what it is given."""
    residencies: list[Residency] = []

    def keep(residency: Residency) -> Residency:
        residencies.append(residency)
        return residency

    yield keep
    for each in residencies:
        each.close()


def ask(residency: Residency, **changes: Any) -> tuple[Listener, int]:
    listener = Listener()
    request = GenerateRequest(**{"model": "scripted", "prompt": "hello", **changes})
    return listener, residency.submit(request, listener, origin=A_TEST)


def of(*backends: ScriptedBackend, model: Model | None = None) -> tuple[Residency, list[LoadSpec]]:
    """A residency whose one model opens these backends, one after the other."""
    specs: list[LoadSpec] = []

    def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
        specs.append(spec)
        return backends[len(specs) - 1]

    find = find_among(model or a_model(context_length=1 << 40))
    return Residency(find, {kind: Runner(open_backend) for kind in Kind}), specs


def test_newcomers_do_not_keep_a_longer_context_waiting(built: Built) -> None:
    short = ScriptedBackend(context_length=1 << 40)
    long = ScriptedBackend("long")
    residency, specs = of(short, long)
    built(residency)
    running = [ask(residency) for _ in range(2)]
    for listener, _ in running:
        listener.until(TextDelta)
    longer, _ = ask(residency, context_length=60_000)
    newcomers = [ask(residency, prompt=f"new {number}") for number in range(3)]

    for _, ticket in running:
        residency.cancel(ticket)

    assert isinstance(longer.end(), Finished)
    assert longer.text == "long"
    for listener, _ in newcomers:
        assert isinstance(listener.end(), Finished)
    assert len(short.prompts) == 2, "nobody was let in before the longer one"
    assert [spec.context_length >= 60_000 for spec in specs] == [False, True]


def test_an_unload_is_told_when_the_model_is_gone(built: Built) -> None:
    backend = ScriptedBackend(context_length=1 << 40)
    residency = built(scripted_residency(backend))
    running, ticket = ask(residency)
    running.until(TextDelta)
    unloaded = Listener()

    residency.submit(UnloadRequest(model="scripted"), unloaded, origin=A_TEST)
    for _ in range(20):
        running.until(TextDelta)
    assert unloaded.nothing_more(), "it is not gone while it writes"
    residency.cancel(ticket)

    assert unloaded.end() == Unloaded()
    assert backend.closed
    assert residency.residents() == ()


def test_a_model_that_was_only_to_be_loaded_goes_at_once_and_the_next_request_is_served(
    built: Built,
) -> None:
    residency, specs = of(ScriptedBackend(loading_steps=3), ScriptedBackend("again"))
    built(residency)
    load = Listener()

    residency.submit(LoadRequest(model="scripted", keep_alive_seconds=0.0), load, origin=A_TEST)
    assert isinstance(load.end(), Loaded)
    late, _ = ask(residency)

    assert isinstance(late.end(), Finished)
    assert late.text == "again"
    assert len(specs) == 2


def test_a_request_that_comes_while_a_model_drains_is_served_by_a_new_one(built: Built) -> None:
    first, second = ScriptedBackend(context_length=1 << 40), ScriptedBackend("again")
    residency, specs = of(first, second)
    built(residency)
    running, ticket = ask(residency)
    running.until(TextDelta)
    residency.submit(UnloadRequest(model="scripted"), Listener(), origin=A_TEST)

    late, _ = ask(residency)
    residency.cancel(ticket)

    assert isinstance(late.end(), Finished)
    assert late.text == "again"
    assert len(specs) == 2


def test_unloading_what_is_still_loading_stops_it(built: Built) -> None:
    backend = ScriptedBackend(loading_steps=1 << 60)
    residency = built(scripted_residency(backend))
    load, unloaded = Listener(), Listener()
    ticket = residency.submit(LoadRequest(model="scripted"), load, origin=A_TEST)
    residency.submit(UnloadRequest(model="scripted"), unloaded, origin=A_TEST)

    residency.cancel(ticket)

    assert unloaded.end() == Unloaded()
    assert load.end() == Finished(FinishReason.CANCELLED)
    assert backend.closed


def test_what_is_loaded_is_stopped_by_its_name_when_its_record_has_gone(built: Built) -> None:
    installed = {"scripted": a_model()}
    backend = ScriptedBackend("hi")

    def find(name: str) -> Model:
        if name not in installed:
            raise ModelNotFound(name)
        return installed[name]

    residency = built(Residency(find, {Kind.LLAMA: Runner(lambda spec, wake: backend)}))
    ask(residency)[0].end()
    installed.clear()
    unloaded, again = Listener(), Listener()

    residency.submit(UnloadRequest(model="scripted"), unloaded, origin=A_TEST)

    assert unloaded.end() == Unloaded()
    assert backend.closed
    residency.submit(UnloadRequest(model="scripted"), again, origin=A_TEST)
    assert isinstance(again.end(), Failed)


def test_an_alias_shares_what_is_loaded(built: Built) -> None:
    model = a_model()
    alias = replace(a_model("other"), digest=model.digest)
    opened: list[LoadSpec] = []

    def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
        opened.append(spec)
        return ScriptedBackend("hi")

    residency = built(Residency(find_among(model, alias), {Kind.LLAMA: Runner(open_backend)}))

    for name in ("scripted", "other", "scripted"):
        ask(residency, model=name)[0].end()

    assert len(opened) == 1
    (resident,) = residency.residents()
    assert resident.names == {"scripted:latest", "other:latest"}
    unloaded = Listener()
    residency.submit(UnloadRequest(model="other"), unloaded, origin=A_TEST)
    assert unloaded.end() == Unloaded()
    assert residency.residents() == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_model_that_loads_is_seen_and_promised(built: Built, kind: Kind) -> None:
    held = threading.Event()

    class Loading(ScriptedBackend):
        def load(self) -> bool:
            return held.is_set()

        def has_work(self) -> bool:
            return not held.is_set() or super().has_work()

    ledger = Ledger()
    residency = built(
        Residency(
            find_among(a_model(kind=kind)), {kind: Runner(lambda *_: Loading("hi"))}, ledger=ledger
        )
    )
    listener, _ = ask(residency)
    while not residency.residents():
        pass

    (resident,) = residency.residents()

    assert resident.loading
    assert resident.running == 1
    assert [each.need for each in ledger.promised()] == [resident.need]
    held.set()
    listener.end()
    (resident,) = residency.residents()
    assert not resident.loading
    assert sum(each.need.total_bytes for each in ledger.promised()) == resident.size_bytes


def test_a_group_reads_one_prompt_for_several_answers(built: Built) -> None:
    class Counting(ScriptedBackend):
        seeds: list[int | None]

        def insert(self, works: Mapping[int, Work]) -> None:
            self.seeds.extend(work.sampling.seed for work in works.values())
            super().insert(works)

    backend = Counting(context_length=1 << 40)
    backend.seeds = []
    residency = built(scripted_residency(backend))
    listeners = [Listener() for _ in range(3)]
    request = GenerateRequest(
        model="scripted", prompt="hello", sampling=SamplingParams(temperature=0.5)
    )

    tickets = residency.submit_group(request, [7, 8, 9], listeners, origin=A_TEST)
    for listener in listeners:
        assert isinstance(listener.next(), Started)
    residency.cancel(tickets[1])

    assert backend.seeds == [7, 8, 9]
    end = listeners[1].end()
    assert isinstance(end, Finished)
    assert end.reason is FinishReason.CANCELLED
    for place in (0, 2):
        for _ in range(10):
            listeners[place].until(TextDelta)
        residency.cancel(tickets[place])
        assert isinstance(listeners[place].end(), Finished)


def test_what_runs_can_be_listed_with_who_asked_for_it(built: Built) -> None:
    residency = built(scripted_residency(ScriptedBackend(context_length=1 << 40)))
    listener = Listener()
    origin = Origin("api", wire="openai-chat", client="curl/8")
    request = GenerateRequest(model="scripted", prompt="x")
    ticket = residency.submit(request, listener, origin=origin)
    listener.until(TextDelta)

    (running,) = residency.running()

    assert (running.ticket, running.model, running.origin) == (ticket, "scripted", origin)
    residency.cancel(ticket)
    listener.end()
    assert residency.running() == ()


def test_what_a_model_cannot_do_is_refused_before_it_is_loaded(built: Built) -> None:
    residency = built(scripted_residency(ScriptedBackend("hi")))

    listener, _ = ask(residency, suffix="and so on")

    end = listener.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, NotAble)
    assert end.error.lacking == ("insert",)
    assert residency.residents() == ()


def test_new_defaults_hold_for_what_is_loaded_next(built: Built) -> None:
    residency, specs = of(ScriptedBackend("a"), ScriptedBackend("b"))
    built(residency)
    ask(residency)[0].end()

    residency.configure(keep_alive_seconds=0.0, context_length=4096)
    unloaded = Listener()
    residency.submit(UnloadRequest(model="scripted"), unloaded, origin=A_TEST)
    unloaded.end()
    ask(residency)[0].end()

    assert [spec.context_length for spec in specs] == [32_768, 4096]
    assert residency.residents() == ()


def test_a_model_that_hangs_harms_no_other(built: Built) -> None:
    freed = threading.Event()

    class Stuck(ScriptedBackend):
        def step(self):
            freed.wait()
            return super().step()

    def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
        return Stuck("late") if spec.model.name.model == "stuck" else ScriptedBackend("at once")

    models = (a_model("stuck"), a_model("healthy"))
    residency = built(Residency(find_among(*models), {Kind.LLAMA: Runner(open_backend)}))
    late, _ = ask(residency, model="stuck")

    healthy, _ = ask(residency, model="healthy")

    assert isinstance(healthy.end(), Finished)
    assert late.nothing_more()
    freed.set()
    assert isinstance(late.end(), Finished)


def test_progress_is_told_while_a_model_loads(built: Built) -> None:
    class Growing(ScriptedBackend):
        @property
        def loaded_bytes(self) -> int:
            return 1000 - max(0, self.loading_steps)

    residency = built(scripted_residency(Growing("hi", loading_steps=3)))
    listener = Listener()

    residency.submit(LoadRequest(model="scripted"), listener, origin=A_TEST)

    assert isinstance(listener.end(), Loaded)
    done = [each.done for each in listener.progress]
    assert done == sorted(done)
    assert {each.total for each in listener.progress} == {1000}
    assert len(done) >= 3


def test_a_shorter_stay_holds_for_what_is_loaded_already(built: Built) -> None:
    backend = ScriptedBackend("hi")
    residency = built(scripted_residency(backend))
    ask(residency)[0].end()
    assert residency.residents()

    residency.configure(keep_alive_seconds=0.0, context_length=None)

    for _ in range(500):
        if not residency.residents():
            break
        threading.Event().wait(0.01)
    assert backend.closed
