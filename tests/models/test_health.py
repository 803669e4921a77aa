"""A step that does not end is noticed, although its thread is there."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from models.engine.backend import LoadSpec, Output
from models.engine.house import Runner
from models.events import TextDelta
from models.health import Health, Watch
from models.model import Kind
from models.residency import Residency
from tests.fakes import ScriptedBackend, a_model, find_among
from tests.models.engine.test_engine import ask


class Stuck(ScriptedBackend):
    """Does not come back from a step until it is let go."""

    def __init__(self) -> None:
        super().__init__(context_length=1 << 30)
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def step(self) -> list[Output]:
        self.entered.set()
        self.go_on.wait()
        return super().step()


OpenHouse = Callable[..., Residency]


@pytest.fixture
def open_house() -> Iterator[OpenHouse]:
    houses: list[Residency] = []

    def make(backend: ScriptedBackend, stuck_seconds: float) -> Residency:
        def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
            return backend

        runners = {Kind.LLAMA: Runner(open_backend)}
        house = Residency(find_among(a_model()), runners, stuck_seconds=stuck_seconds)
        houses.append(house)
        return house

    yield make
    for each in houses:
        each.close()


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never happened")


def test_engines_that_rest_and_that_work_are_well(open_house: OpenHouse) -> None:
    residency = open_house(ScriptedBackend(context_length=1 << 30), 5)
    assert residency.health() == Health()

    listener, ticket = ask(residency)
    listener.until(TextDelta)
    assert residency.health().ok

    residency.cancel(ticket)
    listener.end()
    assert residency.health().ok


def test_a_step_that_does_not_end_is_told_with_the_names_of_its_models(
    open_house: OpenHouse,
) -> None:
    backend = Stuck()
    residency = open_house(backend, 0.2)
    listener, ticket = ask(residency)
    assert backend.entered.wait(10)

    wait_for(lambda: not residency.health().ok)
    [trouble] = residency.health().troubles
    assert trouble.startswith("The engine's thread lane-llama-")
    assert "(scripted:latest) has been in one step for more than" in trouble

    residency.cancel(ticket)
    backend.go_on.set()
    listener.end()
    wait_for(lambda: residency.health().ok)


def test_a_model_elsewhere_that_says_nothing_is_told(open_house: OpenHouse) -> None:
    backend = ScriptedBackend(context_length=1 << 30)
    residency = open_house(backend, 0.3)
    listener, ticket = ask(residency)
    listener.until(TextDelta)
    assert residency.health().ok
    backend.hold = True  # its lane turns and turns, and nothing comes

    wait_for(lambda: not residency.health().ok)
    [trouble] = residency.health().troubles
    assert trouble.startswith("Model 'scripted:latest' has work, and has taken no step for more")

    residency.cancel(ticket)
    listener.end()
    wait_for(lambda: residency.health().ok)


def test_a_model_that_loads_for_long_is_no_trouble(open_house: OpenHouse) -> None:
    backend = ScriptedBackend("hi", loading_steps=1 << 40)
    residency = open_house(backend, 0.05)
    listener, _ = ask(residency)
    threading.Event().wait(0.3)

    assert residency.health().ok
    backend.loading_steps = 0
    listener.end()


def test_a_trouble_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    found = [Health()]
    looks = threading.Semaphore(0)

    def look() -> Health:
        looks.release()
        return found[0]

    caplog.set_level(logging.WARNING)
    watch = Watch(look, every_seconds=0.001)
    for health in (Health(("It is stuck.",)), Health()):
        found[0] = health
        for _ in range(20):
            assert looks.acquire(timeout=10)
    watch.close()

    assert [each.getMessage() for each in caplog.records] == [
        "It is stuck.",
        "It is over: It is stuck.",
    ]
