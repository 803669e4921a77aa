"""The llama.cpp engine on a real model: a child process that may be slow, wrong or dead."""

import os
import re
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from models import chat
from models.chat import GenerateRequest, LoadRequest, Overflow, SamplingParams, UnloadRequest
from models.engine import llama_answer, llama_process
from models.engine.house import Runner
from models.engine.llama import LlamaBackend, open_llama
from models.engine.llama_process import LlamaProcess
from models.errors import ContextOverflow, InferenceError, LoadFailed, ModelCrashed
from models.events import Failed, Finished, FinishReason, Started, TextDelta
from models.model import Files, Kind
from models.residency import Residency
from tests.fakes import A_TEST, a_model, find_among
from tests.listener import Listener

POCKET_NAME = "pocket"
POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
FILES = Files(POCKET_FILE.parent, POCKET_FILE.name)
FRANCE = (chat.user("What is the capital of France?"),)
GREEDY = SamplingParams(temperature=0.0)


class Opened:
    """Remembers the backends that were opened, to find their processes."""

    def __init__(self) -> None:
        self.backends: list[LlamaBackend] = []

    def __call__(self, plan: Any, wake: Any) -> LlamaBackend:
        self.backends.append(open_llama(plan, wake))
        return self.backends[-1]


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def residency(opened: Opened) -> Iterator[Residency]:
    pocket = a_model(POCKET_NAME, context_length=2048, kv_bytes_per_token=1024)
    residency = Residency(
        find_among(replace(pocket, files=FILES)),
        {Kind.LLAMA: Runner(opened)},
    )
    yield residency
    residency.close()
    for backend in opened.backends:
        assert not psutil.pid_exists(backend.pid)


def ask(residency: Residency, **changes: Any) -> tuple[Listener, int]:
    listener = Listener()
    values: dict[str, Any] = {"model": POCKET_NAME, "prompt": FRANCE, "sampling": GREEDY}
    return listener, residency.submit(
        GenerateRequest(**{**values, **changes}), listener, origin=A_TEST
    )


def endless(residency: Residency) -> tuple[Listener, int]:
    """A reply that goes on until the context is full, some two thousand tokens."""
    return ask(residency, prompt=(chat.user("Tell me a story."),), sampling=HOT)


# So hot that the end of the turn is as likely as any other token.
HOT = SamplingParams(temperature=50.0, top_k=0, top_p=1.0, seed=1)


def test_it_answers_and_stops_by_itself(residency: Residency):
    listener, _ = ask(residency, want_tokens=True)

    finished = listener.end()

    assert isinstance(finished, Finished)
    assert "Paris" in listener.text
    assert finished.reason is FinishReason.END_OF_TURN
    assert finished.usage.prompt_tokens > 10
    assert finished.usage.completion_tokens > 1
    assert finished.usage.decode_seconds > 0
    assert finished.tokens is not None
    said = finished.tokens[finished.usage.prompt_tokens :]
    assert len(said) == finished.usage.completion_tokens - 1


def test_the_second_answer_finds_its_prompt_in_the_cache(residency: Residency):
    ask(residency)[0].end()

    again, _ = ask(residency)
    finished = again.end()

    assert isinstance(finished, Finished)
    assert finished.usage.cached_tokens == finished.usage.prompt_tokens - 1


def test_no_connection_is_kept_that_llama_cpp_would_close_when_it_idles(
    residency: Residency, opened: Opened
):
    ask(residency)[0].end()
    child = psutil.Process(opened.backends[0].pid)

    def connections() -> list[Any]:
        found = child.net_connections("tcp")
        return [each for each in found if each.status == psutil.CONN_ESTABLISHED]

    wait_until(lambda: not connections())


def test_the_same_seed_gives_the_same_text_alone_and_in_company(residency: Residency):
    hot = SamplingParams(temperature=1.5, seed=7)
    alone, _ = ask(residency, sampling=hot)
    alone.end()

    together = [ask(residency, sampling=hot)[0] for _ in range(3)]
    for listener in together:
        listener.end()

    assert {listener.text for listener in together} == {alone.text}


def test_more_requests_than_sequences_are_all_served(residency: Residency):
    listeners = [ask(residency)[0] for _ in range(20)]

    for listener in listeners:
        listener.end()

    assert {listener.text for listener in listeners} == {listeners[0].text}


def test_stop_strings_and_max_tokens_end_it(residency: Residency):
    stopped, _ = ask(residency, stop=("ris",))
    short, _ = ask(residency, max_tokens=2)

    assert stopped.end().reason is FinishReason.STOP_STRING  # pyright: ignore[reportAttributeAccessIssue]
    assert stopped.text.endswith("Pa")
    end = short.end()
    assert isinstance(end, Finished)
    assert (end.reason, end.usage.completion_tokens) == (FinishReason.MAX_TOKENS, 2)


def test_a_cancel_leaves_the_others_alone(residency: Residency):
    expected, _ = ask(residency)
    expected.end()
    listeners = [ask(residency) for _ in range(12)]
    for _, ticket in listeners[::2]:
        residency.cancel(ticket)

    ends = [listener.end() for listener, _ in listeners]

    assert all(isinstance(end, Finished) for end in ends)
    assert {listener.text for listener, _ in listeners[1::2]} == {expected.text}


def test_a_child_killed_in_mid_stream_is_told_and_the_next_request_served(
    residency: Residency, opened: Opened
):
    listeners = [endless(residency)[0] for _ in range(3)]
    for listener in listeners:
        listener.until(TextDelta)

    os.kill(opened.backends[0].pid, signal.SIGKILL)

    ends = [listener.end() for listener in listeners]
    assert any(isinstance(end, Failed) for end in ends)
    for end in ends:
        if isinstance(end, Failed):
            assert isinstance(end.error, ModelCrashed)
            assert "the next request loads it again" in str(end.error)
    again, _ = ask(residency)
    assert isinstance(again.end(), Finished)
    assert "Paris" in again.text


def test_the_request_right_after_a_crash_is_served(residency: Residency, opened: Opened):
    for _ in range(5):
        listener, _ticket = endless(residency)
        listener.until(TextDelta)
        os.kill(opened.backends[-1].pid, signal.SIGKILL)
        listener.end()

        again, _ticket = ask(residency)  # before the engine has looked round
        assert isinstance(again.end(), Finished)


def test_a_child_killed_while_idle_is_replaced(residency: Residency, opened: Opened):
    ask(residency)[0].end()

    os.kill(opened.backends[0].pid, signal.SIGKILL)
    wait_until(lambda: not residency.residents())

    again, _ = ask(residency)
    assert isinstance(again.end(), Finished)


def test_a_child_that_hangs_can_still_be_cancelled_and_unloaded(
    residency: Residency, opened: Opened
):
    listener, ticket = endless(residency)
    listener.until(Started)
    os.kill(opened.backends[0].pid, signal.SIGSTOP)

    residency.cancel(ticket)
    assert isinstance(listener.end(), Finished)
    gone = Listener()
    residency.submit(UnloadRequest(model=POCKET_NAME), gone, origin=A_TEST)
    gone.end()

    assert residency.residents() == ()


def test_unloading_gives_the_memory_back(residency: Residency, opened: Opened):
    listener = Listener()
    residency.submit(LoadRequest(model=POCKET_NAME), listener, origin=A_TEST)
    listener.end()
    pid = opened.backends[0].pid
    assert psutil.pid_exists(pid)

    residency.submit(UnloadRequest(model=POCKET_NAME), listener, origin=A_TEST)
    listener.end()

    assert not psutil.pid_exists(pid)


def test_nobody_without_the_key_can_use_the_childs_port(residency: Residency, opened: Opened):
    ask(residency)[0].end()
    child = psutil.Process(opened.backends[0].pid)
    listening = [each for each in child.net_connections() if each.status == psutil.CONN_LISTEN]

    assert [each.laddr.ip for each in listening] == ["127.0.0.1"]
    assert opened.backends[0].key not in " ".join(child.cmdline())
    assert opened.backends[0].key not in " ".join(child.environ().values())


def test_every_token_is_counted_even_inside_a_character(residency: Residency):
    # So hot that it draws single bytes, which llama.cpp holds back until they are a character.
    listener, _ = ask(residency, max_tokens=60, sampling=HOT)

    end = listener.end()

    assert isinstance(end, Finished)
    assert not listener.text.isascii()
    if end.reason is FinishReason.MAX_TOKENS:
        assert end.usage.completion_tokens == 60
    assert listener.text.count("\ufffd") < 60


def test_half_a_surrogate_pair_is_read_as_a_question_mark(residency: Residency):
    listener, _ = ask(residency, prompt="half a \ud83d character", max_tokens=1)

    assert isinstance(listener.end(), Finished)


def gguf(pairs: bytes = b"", *, count: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + pairs


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file|gone"),
        (b"", "not a GGUF|damaged|incomplete|empty"),
        (b"This is no model at all.", "not a GGUF"),
        (gguf(), "cut short|lacks|damaged"),
    ],
)
def test_a_bad_file_is_told_in_words(tmp_path: Path, content: bytes | None, words: str):
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    error = load(path)

    assert isinstance(error, LoadFailed)
    assert re.search(words, str(error)), str(error)
    assert "\n" not in str(error)


def test_a_truncated_file_is_told_in_words(tmp_path: Path):
    whole = POCKET_FILE.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[: len(whole) * 3 // 4])

    error = load(path)

    assert isinstance(error, LoadFailed)
    assert "incomplete" in str(error) or "cut short" in str(error) or "damaged" in str(error)


def load(path: Path) -> InferenceError:
    """Load the file at ``path`` through an engine, as if it had been imported."""
    model = replace(a_model("bad"), files=Files(path.parent, path.name))
    residency = Residency(find_among(model), {Kind.LLAMA: Runner(open_llama)})
    listener = Listener()
    try:
        residency.submit(LoadRequest(model="bad"), listener, origin=A_TEST)
        end = listener.end()
    finally:
        residency.close()
    assert isinstance(end, Failed)
    return end.error


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.01)


def test_a_stopped_child_is_not_noticed_by_another_model(opened: Opened) -> None:
    models = [
        replace(a_model(name, context_length=2048, kv_bytes_per_token=1024), files=FILES)
        for name in ("one", "two")
    ]
    residency = Residency(find_among(*models), {Kind.LLAMA: Runner(opened)})
    try:
        for name in ("one", "two"):
            ask(residency, model=name)[0].end()
        os.kill(opened.backends[0].pid, signal.SIGSTOP)
        child = psutil.Process(opened.backends[0].pid)
        wait_until(lambda: child.status() == psutil.STATUS_STOPPED)
        stopped, _ = ask(residency, model="one")

        healthy, _ = ask(residency, model="two")

        assert isinstance(healthy.end(), Finished)
        assert isinstance(stopped.end(), Finished), "a new child has answered"
        assert len(opened.backends) == 3
    finally:
        residency.close()


def test_who_waits_for_a_child_that_is_then_stopped_is_told(
    residency: Residency, opened: Opened
) -> None:
    listener, _ = endless(residency)
    listener.until(TextDelta)

    os.kill(opened.backends[0].pid, signal.SIGSTOP)

    end = listener.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, ModelCrashed)
    again, _ = ask(residency)
    assert isinstance(again.end(), Finished)


@pytest.mark.parametrize("line", ["no JSON at all", "[1, 2]", '"text"'])
def test_a_child_that_says_something_else_is_a_failed_load(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(f"import sys\nsys.stdin.readline()\nprint({line!r}, flush=True)\n")
    monkeypatch.setattr(llama_process, "_WORKER", worker)
    changed = threading.Event()
    process = LlamaProcess({}, model_name="odd", on_change=changed.set)

    try:
        assert changed.wait(20)
        with pytest.raises(LoadFailed, match="'odd' cannot be loaded"):
            process.ready()
    finally:
        process.close()


def test_an_answer_that_is_not_understood_fails_its_sequence_alone(
    residency: Residency, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = ask(residency, prompt="Once", sampling=HOT, max_tokens=200)
    other.until(Started)
    monkeypatch.delitem(llama_answer.FINISH_REASONS, "eos")

    failed, _ = ask(residency)

    end = failed.end()
    assert isinstance(end, Failed)
    assert "could not be understood" in str(end.error)
    assert isinstance(other.end(), Finished)


def test_thirty_thousand_letters_without_a_space_harm_no_other_stream(residency: Residency):
    listener, ticket = endless(residency)
    listener.until(TextDelta)

    offender, _ = ask(residency, prompt=(chat.user("a" * 30_000),))
    cut, _ = ask(residency, prompt="!" * 30_000, overflow=Overflow.TRUNCATE, max_tokens=2)

    end = offender.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, ContextOverflow)
    assert isinstance(cut.end(), Finished)
    residency.cancel(ticket)
    assert isinstance(listener.end(), Finished)
