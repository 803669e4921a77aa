"""One thread steps every model; each request ends with exactly one terminal event."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from models import chat
from models.chat import GenerateRequest, LoadRequest, Overflow, UnloadRequest
from models.engine.backend import LoadSpec, Work
from models.engine.house import Runner
from models.errors import (
    ContextOverflow,
    EngineClosed,
    InvalidRequest,
    LoadFailed,
    ModelCrashed,
    ModelNotFound,
    OutOfMemory,
    ServerBusy,
)
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Loaded,
    Started,
    TextDelta,
    Unloaded,
)
from models.ledger import Ledger
from models.model import Kind
from models.residency import Residency
from tests.fakes import A_TEST, ScriptedBackend, a_model, find_among, scripted_residency
from tests.listener import Listener

ENOUGH_SECONDS = 5.0
ENDLESS = 1 << 40  # tokens: a babbler comes to no end


def ask(residency: Residency, **changes: Any) -> tuple[Listener, int]:
    listener = Listener()
    wanted = {"model": "scripted", "prompt": "hello", "want_tokens": True}
    request = GenerateRequest(**{**wanted, **changes})
    return listener, residency.submit(request, listener, origin=A_TEST)


def error_of(end: Event) -> tuple[str, str]:
    assert isinstance(end, Failed), end
    return type(end.error).__name__, str(end.error)


@pytest.fixture
def residency_of():
    built: list[Residency] = []

    def make(*args: Any, **options: Any) -> Residency:
        built.append(scripted_residency(*args, **options))
        return built[-1]

    yield make
    for residency in built:
        residency.close()


MakeResidency = Callable[..., Residency]


def test_a_generation_is_one_sentence(residency_of: MakeResidency):
    listener, _ = ask(residency_of(ScriptedBackend("Hel", "lo", "!")))

    assert listener.next() == Started(prompt_tokens=5)
    finished = listener.end()
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.END_OF_TURN
    assert listener.text == "Hello!"
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens) == (5, 3)
    assert finished.tokens == (*b"hello", 1, 1), "without the end-of-turn token"
    assert listener.nothing_more()


def test_two_generations_share_the_steps(residency_of: MakeResidency):
    backend = ScriptedBackend("a", "b", "c")
    residency = residency_of(backend)
    first, _ = ask(residency)
    second, _ = ask(residency)

    first.end()
    second.end()

    assert first.text == second.text == "abc"


def test_a_cancel_ends_a_babbler_and_frees_its_sequence(residency_of: MakeResidency):
    backend = ScriptedBackend(context_length=ENDLESS)
    residency = residency_of(backend)
    listener, ticket = ask(residency)
    listener.until(TextDelta)

    residency.cancel(ticket)

    end = listener.end()
    assert isinstance(end, Finished)
    assert end.reason is FinishReason.CANCELLED
    assert not backend.running
    residency.cancel(ticket)  # harmless


def test_a_request_can_be_cancelled_while_the_model_loads(residency_of: MakeResidency):
    residency = residency_of(ScriptedBackend("late", loading_steps=10**9))
    listener, ticket = ask(residency)

    residency.cancel(ticket)

    assert listener.next() == Finished(FinishReason.CANCELLED)


def test_a_stop_string_frees_the_sequence(residency_of: MakeResidency):
    backend = ScriptedBackend("say ", "when", "...")
    listener, _ = ask(residency_of(backend), stop=("hen",))

    end = listener.end()

    assert isinstance(end, Finished)
    assert end.reason is FinishReason.STOP_STRING
    assert listener.text == "say w"
    assert not backend.running


def test_max_tokens_and_the_context_both_end_it(residency_of: MakeResidency):
    residency = residency_of(ScriptedBackend(context_length=16))
    few, _ = ask(residency, max_tokens=3)
    full, _ = ask(residency)

    assert few.end().usage.completion_tokens == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert full.end().usage.completion_tokens == 16 - 5  # pyright: ignore[reportAttributeAccessIssue]


def test_a_prompt_that_is_too_long_is_refused_with_both_counts(residency_of: MakeResidency):
    listener, _ = ask(residency_of(ScriptedBackend(context_length=16)), prompt="x" * 16)

    end = listener.end()

    assert isinstance(end, Failed)
    assert isinstance(end.error, ContextOverflow)
    assert (end.error.prompt_tokens, end.error.context_length) == (16, 16)


def test_the_oldest_messages_go_first_and_the_system_message_stays(residency_of: MakeResidency):
    backend = ScriptedBackend("ok")
    messages = (
        chat.system("S"),
        chat.user("a" * 60),
        chat.assistant("b" * 60),
        chat.user("c" * 60),
        chat.user("last"),
    )
    listener, _ = ask(
        residency_of(backend), prompt=messages, overflow=Overflow.TRUNCATE, context_length=120
    )

    listener.end()

    prompt = backend.prompts[0].decode()
    assert prompt == "[system]S[user]" + "c" * 60 + "[user]last[assistant]"


def test_a_single_message_that_is_too_long_loses_its_middle(residency_of: MakeResidency):
    backend = ScriptedBackend("ok")
    listener, _ = ask(
        residency_of(backend),
        prompt="head" + "x" * 300 + "tail",
        overflow=Overflow.TRUNCATE,
    )

    listener.end()

    assert backend.prompts[0].startswith(b"head")
    assert backend.prompts[0].endswith(b"tail")
    assert len(backend.prompts[0]) == 4 + (256 - 4) // 2


def test_an_empty_prompt_is_refused(residency_of: MakeResidency):
    listener, _ = ask(residency_of(ScriptedBackend("ok")), prompt="")

    end = listener.end()

    assert isinstance(end, Failed)
    assert isinstance(end.error, InvalidRequest)


def test_requests_wait_for_a_model_that_loads(residency_of: MakeResidency):
    residency = residency_of(ScriptedBackend("ready", loading_steps=50))
    first, _ = ask(residency)
    second, _ = ask(residency)

    first.end()
    second.end()

    assert first.text == second.text == "ready"


def test_a_full_queue_refuses_the_newcomer_and_serves_those_in_it(residency_of: MakeResidency):
    backend = ScriptedBackend("served", loading_steps=10**9)
    residency = residency_of(backend)
    waiting = [ask(residency)[0] for _ in range(512)]
    newcomer, _ = ask(residency)

    refused = newcomer.end()
    backend.loading_steps = 0  # it is ready now
    for listener in waiting:
        listener.end()

    assert isinstance(refused, Failed)
    assert isinstance(refused.error, ServerBusy)
    assert {listener.text for listener in waiting} == {"served"}


def test_a_failed_load_is_told_to_all_who_wait_and_tried_anew(residency_of: MakeResidency):
    backend = ScriptedBackend("now it works")
    backend.fail_load = LoadFailed("It is broken.")
    residency = residency_of(backend)
    listener, _ = ask(residency)

    assert error_of(listener.end()) == ("LoadFailed", "It is broken.")
    assert backend.closed

    backend.fail_load = None
    again, _ = ask(residency)
    again.end()
    assert again.text == "now it works"


def test_a_crash_is_told_to_everybody_and_the_next_request_is_served(residency_of: MakeResidency):
    backend = ScriptedBackend(context_length=ENDLESS)
    residency = residency_of(backend)
    listeners = [ask(residency)[0] for _ in range(3)]
    for listener in listeners:
        listener.until(TextDelta)

    backend.fail_step = ModelCrashed("It died.")
    ends = [listener.end() for listener in listeners]
    assert [error_of(end) for end in ends] == [("ModelCrashed", "It died.")] * 3
    errors = {id(end.error) for end in ends if isinstance(end, Failed)}
    assert len(errors) == 3, "each has one of its own: its traceback is nobody else's"

    backend.fail_step = None
    backend.running.clear()
    backend.pieces = ("alive",)
    again, _ = ask(residency)
    again.end()
    assert again.text == "alive"


def test_a_bug_in_a_backend_fails_its_requests_and_not_the_thread(residency_of: MakeResidency):
    class Buggy(ScriptedBackend):
        def insert(self, works: Mapping[int, Work]) -> None:
            raise ZeroDivisionError

    residency = residency_of(Buggy())
    listener, _ = ask(residency)

    end = listener.end()

    assert isinstance(end, Failed)
    assert "see the log" in str(end.error)
    assert residency.health().ok


def test_a_sink_that_raises_disturbs_nobody(residency_of: MakeResidency):
    residency = residency_of(ScriptedBackend("a", "b"))

    def broken(event: Event) -> None:
        raise RuntimeError("the window is gone")

    residency.submit(GenerateRequest(model="scripted", prompt="x"), broken, origin=A_TEST)
    listener, _ = ask(residency)

    assert isinstance(listener.end(), Finished)


def test_an_unknown_model_fails_and_nothing_else(residency_of: MakeResidency):
    listener, _ = ask(residency_of(ScriptedBackend()), model="nothere")

    event = listener.next()

    assert isinstance(event, Failed)
    assert isinstance(event.error, ModelNotFound)


def test_loading_and_unloading_are_seen_in_residents(residency_of: MakeResidency):
    backend = ScriptedBackend()
    residency = residency_of(backend)
    listener = Listener()

    residency.submit(LoadRequest(model="scripted", keep_alive_seconds=60), listener, origin=A_TEST)
    assert isinstance(listener.next(), Loaded)
    (resident,) = residency.residents()
    assert not resident.loading
    assert resident.expires_at is not None

    residency.submit(UnloadRequest(model="scripted"), listener, origin=A_TEST)
    assert isinstance(listener.next(), Unloaded)
    assert residency.residents() == ()
    assert backend.closed


def test_an_idle_model_goes_after_its_keep_alive(residency_of: MakeResidency):
    backend = ScriptedBackend("x")
    residency = residency_of(backend, keep_alive_seconds=0.05)
    listener, _ = ask(residency)
    listener.end()

    wait_until(lambda: backend.closed)

    assert residency.residents() == ()


def test_keep_alive_zero_unloads_after_the_answer_and_infinity_never(residency_of: MakeResidency):
    backend = ScriptedBackend("x")
    residency = residency_of(backend)
    listener, _ = ask(residency, keep_alive_seconds=float("inf"))
    listener.end()
    assert residency.residents()[0].expires_at is None

    again, _ = ask(residency, keep_alive_seconds=0)
    again.end()
    assert residency.residents() == ()


def test_closing_fails_what_runs_and_what_comes_later():
    residency = scripted_residency(ScriptedBackend(context_length=ENDLESS))
    listener, _ = ask(residency)
    listener.until(TextDelta)

    residency.close()
    late, _ = ask(residency)

    for end in (listener.end(), late.end()):
        assert isinstance(end, Failed)
        assert isinstance(end.error, EngineClosed)


def test_end_thread_is_the_last_call_of_the_engines_own_thread():
    names: list[str] = []
    residency = Residency(
        find_among(a_model()),
        {
            Kind.LLAMA: Runner(
                lambda plan, wake: ScriptedBackend(),
                lambda: names.append(threading.current_thread().name),
            )
        },
    )

    ask(residency)[0].end()

    residency.close()

    assert len(names) == 1
    assert names[0].startswith("lane-llama-")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(int(ENOUGH_SECONDS / 0.01)):
        if condition():
            return
        deadline.wait(0.01)
    raise AssertionError("it never came true")


MIB = 1 << 20


class Computer:
    """Memory that models take and give back. Weights that are mapped do not show in it."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = self.total_bytes = free_bytes
        self.opened: list[str] = []
        self.plans: list[LoadSpec] = []
        self.says: tuple[str, ...] = ("hi",)

    def open(self, plan: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
        computer = self
        self.opened.append(str(plan.model.name))
        self.plans.append(plan)
        shown = plan.need.total_bytes - (plan.need.weights_bytes if plan.need.mapped else 0)
        self.free_bytes -= shown

        class Backend(ScriptedBackend):
            def close(self) -> None:
                computer.opened.remove(str(plan.model.name))
                computer.free_bytes += shown

        return Backend(*self.says, context_length=plan.context_length)


@pytest.fixture
def computer_of():
    built: list[Residency] = []

    def make(free_mib: int, **models: dict[str, Any]) -> tuple[Computer, Residency]:
        computer = Computer(free_mib * MIB)
        installed = [a_model(name, **options) for name, options in models.items()]
        residency = Residency(
            find_among(*installed),
            {kind: Runner(computer.open) for kind in Kind},
            ledger=Ledger(lambda: computer.free_bytes, lambda: computer.total_bytes),
        )
        built.append(residency)
        return computer, residency

    yield make
    for residency in built:
        residency.close()


MakeComputer = Callable[..., tuple[Computer, Residency]]


def test_several_models_stay_where_there_is_room(computer_of: MakeComputer):
    computer, residency = computer_of(
        4000, a={"size_bytes": 500 * MIB}, b={"size_bytes": 500 * MIB}
    )

    for name in "ab":
        ask(residency, model=name)[0].end()

    assert computer.opened == ["a:latest", "b:latest"]


def test_the_least_recently_used_model_makes_room_across_engines(computer_of: MakeComputer):
    big = 800 * MIB
    computer, residency = computer_of(
        1024 + 2100,
        a={"size_bytes": big, "kind": Kind.MLX, "quantization": "4bit"},
        b={"size_bytes": big},
        c={"size_bytes": big},
    )
    for name in "aba":
        ask(residency, model=name)[0].end()

    ask(residency, model="c")[0].end()

    assert computer.opened == ["a:latest", "c:latest"]


def test_a_model_that_can_never_fit_is_refused_with_the_numbers(computer_of: MakeComputer):
    computer, residency = computer_of(2000, huge={"size_bytes": 3000 * MIB}, a={"size_bytes": MIB})
    ask(residency, model="a")[0].end()

    end = ask(residency, model="huge")[0].end()

    assert isinstance(end, Failed)
    assert isinstance(end.error, OutOfMemory)
    assert "3.3 GiB" in str(end.error)
    assert computer.opened == ["a:latest"], "nothing was let go for what cannot fit"


def test_a_busy_model_is_not_evicted_and_the_newcomer_waits(computer_of: MakeComputer):
    big = 1500 * MIB
    sizes = {"size_bytes": big, "context_length": 1_000_000}
    computer, residency = computer_of(1024 + 2000, a=sizes, b=sizes)
    computer.says = ()  # it babbles until it is stopped
    busy, ticket = ask(residency, model="a", keep_alive_seconds=float("inf"))
    busy.until(TextDelta)
    computer.says = ("hi",)
    newcomer, _ = ask(residency, model="b")
    for _ in range(1000):
        busy.until(TextDelta)
    assert computer.opened == ["a:latest"]
    assert newcomer.nothing_more()

    residency.cancel(ticket)
    newcomer.end()

    assert newcomer.text == "hi"
    assert computer.opened == ["b:latest"]


def test_a_longer_context_is_had_by_loading_anew(computer_of: MakeComputer):
    computer, residency = computer_of(4000, a={"context_length": 100_000, "kv_bytes_per_token": 8})
    ask(residency, model="a")[0].end()

    ask(residency, model="a", context_length=65_000)[0].end()
    ask(residency, model="a", context_length=1000)[0].end()

    assert [plan.context_length for plan in computer.plans] == [32_768, 65_024]


def test_the_default_context_shrinks_to_what_the_memory_holds(computer_of: MakeComputer):
    computer, residency = computer_of(
        1024 + 800, a={"context_length": 100_000, "kv_bytes_per_token": 65_536}
    )

    ask(residency, model="a")[0].end()

    (plan,) = computer.plans
    assert 2048 <= plan.context_length < 32_768
    assert plan.shared_tokens == plan.context_length
    assert plan.max_sequences == plan.context_length // 512
