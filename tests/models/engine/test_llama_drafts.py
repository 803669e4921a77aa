"""A GGUF model with drafts says what it says without, and goes without where they lose."""

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models import chat
from models.chat import GenerateRequest, SamplingParams
from models.counters import Counters
from models.drafts import Drafts, Lookup
from models.engine.backend import Decoded, LoadSpec, SequenceFailed, Work
from models.engine.house import Runner
from models.engine.llama import LlamaBackend, open_llama
from models.engine.llama_config import child_of
from models.engine.llama_drafts import DraftCount
from models.engine.llama_request import LlamaRequests
from models.engine.vocabulary_file import write_vocabulary
from models.events import Failed, Finished, Last
from models.gguf import read_template
from models.model import Files, Kind, Model, Profile
from models.residency import Residency
from models.worker import PYTHON
from tests.conftest import REPOSITORY
from tests.fakes import A_TEST, a_model, a_spec
from tests.listener import ENOUGH_SECONDS, Listener
from tests.tiny_ggufs import write

POCKET = REPOSITORY / "resources/pocket/gguf/pocket.gguf"
REPEATS = tuple(range(300, 360)) * 4
LOOPS = tuple(range(400, 430))  # after which it says a thing again and again


def model_at(path: Path, name: str = "pocket") -> Model:
    files = Files(path.parent, path.name)
    model = a_model(name, size_bytes=path.stat().st_size, context_length=2048)
    return replace(model, files=files)


def texts(
    model: Model, drafts: Drafts | None, prompts: Sequence[tuple[int, ...]], tokens: int = 200
) -> tuple[dict[int, list[int]], int, int]:
    """Return what is said at once after these prompts, and the tokens drafted and accepted."""
    context = model.details.context_length
    spec = a_spec(model, context_length=context, max_sequences=len(prompts))
    woken = threading.Event()
    backend = open_llama(replace(spec, drafts=drafts), woken.set)
    said: dict[int, list[int]] = {place: [] for place in range(len(prompts))}
    try:
        while not backend.load():
            assert woken.wait(ENOUGH_SECONDS)
            woken.clear()
        greedy = SamplingParams(temperature=0.0)
        for prompt in dict.fromkeys(prompts):  # those of one prompt begin together
            work = Work(tokens=prompt, max_tokens=tokens, sampling=greedy)
            backend.insert({at: work for at, each in enumerate(prompts) if each == prompt})
        left = set(said)
        while left:
            woken.clear()
            for output in backend.step():
                assert not isinstance(output, SequenceFailed), output.error
                if isinstance(output, Decoded):
                    said[output.ticket] += output.ids or ()
                    if output.finish:
                        left.discard(output.ticket)
            assert not left or backend.has_work() or woken.wait(ENOUGH_SECONDS)
        counters = backend.counters
    finally:
        backend.close()
    return said, counters.drafted_tokens, counters.accepted_tokens


def test_what_repeats_is_found_and_the_text_is_the_same() -> None:
    plain, drafted, _ = texts(model_at(POCKET), None, [LOOPS])
    assert drafted == 0

    said, drafted, accepted = texts(model_at(POCKET), Lookup.NGRAM_MOD, [LOOPS])

    assert said == plain
    assert drafted >= accepted > 100


def test_a_draft_model_that_knows_and_one_that_guesses_leave_the_text_as_it_is(
    tmp_path: Path,
) -> None:
    plain, _, _ = texts(model_at(POCKET), None, [REPEATS, LOOPS])
    knows = model_at(POCKET, "knows")
    write_vocabulary(POCKET, tmp_path / "guesses.gguf")
    guesses = model_at(tmp_path / "guesses.gguf", "guesses")

    said, drafted, accepted = texts(model_at(POCKET), knows, [REPEATS, LOOPS])
    assert said == plain
    assert accepted > 0.9 * drafted > 0

    said, drafted, accepted = texts(model_at(POCKET), guesses, [REPEATS, LOOPS])
    assert said == plain
    assert drafted > accepted == 0


def test_in_32_bits_the_text_is_the_same_too(testdata: Path) -> None:
    path = testdata / "models/stories260K.gguf"
    model = replace(model_at(path), details=replace(a_model().details, context_length=128))
    prompts = [(1, 403, 407), (1, 410, 300, 301)]

    plain, _, _ = texts(model, None, prompts, 90)
    said, drafted, accepted = texts(model, model, prompts, 90)

    assert said == plain
    assert accepted > 0.9 * drafted > 0


def test_the_drafts_of_many_at_once_fit_into_a_pass() -> None:
    """llama.cpp aborts where they do not: four with its own 64 tokens were too many."""
    plain, _, _ = texts(model_at(POCKET), None, [LOOPS])

    said, _, accepted = texts(model_at(POCKET), Lookup.NGRAM_MOD, [LOOPS] * 8)

    assert list(said.values()) == [plain[0]] * 8
    assert accepted > 8 * 100


# -- Where drafts lose ---------------------------------


class House:
    """A residency of ``pocket``, which drafts with ``other``."""

    def __init__(self, other: Model) -> None:
        self.specs: list[LoadSpec] = []
        self.backends: list[LlamaBackend] = []
        self.models = {"pocket": model_at(POCKET), "other": other}
        self.set(Profile(drafts="other", context_length=1024))
        runner = Runner(self._open)
        self.residency = Residency(lambda name: self.models[name], {Kind.LLAMA: runner})

    def _open(self, spec: LoadSpec, wake: Callable[[], None]) -> LlamaBackend:
        self.specs.append(spec)
        self.backends.append(open_llama(spec, wake))
        return self.backends[-1]

    def set(self, profile: Profile) -> None:
        self.models["pocket"] = replace(self.models["pocket"], profile=profile)

    def start(self, model: str = "pocket", tokens: int = 400) -> Listener:
        listener = Listener()
        request = GenerateRequest(
            model=model,
            prompt=(chat.user("Tell me a story."),),
            sampling=SamplingParams(temperature=0.0, ignore_eos=True),
            max_tokens=tokens,
        )
        self.residency.submit(request, listener, origin=A_TEST)
        return listener

    def ask(self) -> tuple[Last, str]:
        listener = self.start()
        return listener.end(), listener.text


def test_a_model_that_loses_with_its_drafts_is_loaded_again_without_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_vocabulary(POCKET, tmp_path / "guesses.gguf")
    house = House(model_at(tmp_path / "guesses.gguf", "guesses"))
    caplog.set_level(logging.WARNING)
    try:
        together = [house.start(), house.start()]  # the second one ends it, and not the first
        told = [(each.end(), each.text) for each in together]
        counters = house.backends[0].counters
        assert counters.drafted_tokens > counters.accepted_tokens == 0
        told += [house.ask() for _ in range(4)]

        assert all(isinstance(end, Finished) for end, _ in told)
        assert len({text for _, text in told}) == 1
        assert [bool(spec.drafts) for spec in house.specs] == [True, False]
        assert house.specs[1].context_length == house.specs[0].context_length
        assert house.specs[1].need.weights_bytes < house.specs[0].need.weights_bytes
        assert not psutil.pid_exists(house.backends[0].pid)
        [resident] = house.residency.residents()
        assert (resident.drafts, resident.drafts_lost) == ("other", True)
        assert len([each for each in caplog.messages if "slower with its drafts" in each]) == 1

        house.set(Profile(drafts=Lookup.NGRAM_MOD))
        house.ask()
        assert house.specs[2].drafts is Lookup.NGRAM_MOD
        [resident] = house.residency.residents()
        assert (resident.drafts, resident.drafts_lost) == (Lookup.NGRAM_MOD, False)
    finally:
        house.residency.close()


def test_drafts_of_another_vocabulary_are_one_sentence_and_others_go_on(tmp_path: Path) -> None:
    house = House(model_at(write(tmp_path / "tiny.gguf", "llama"), "tiny"))
    house.models["beside"] = replace(model_at(POCKET, "beside"), digest="b" * 64)
    try:
        beside = house.start("beside")
        end, _ = house.ask()

        assert isinstance(end, Failed)
        assert str(end.error) == (
            "'tiny:latest' cannot draft for 'pocket:latest', for it has another vocabulary: "
            "choose a smaller model of the same family."
        )
        assert isinstance(beside.end(), Finished)
        assert len(house.backends) == 1  # no child was started for it
        house.set(Profile())
        assert isinstance(house.ask()[0], Finished)
    finally:
        house.residency.close()


# -- What a draft must have right ----------------------


def count_of(drafts: Drafts | None, cost: float | None = None) -> DraftCount:
    count = DraftCount(replace(a_spec(a_model(size_bytes=1000)), drafts=drafts), lambda: None)
    if cost is not None:
        count.cost = cost
    return count


def loses(count: DraftCount, right: int, at_once: int = 1, drafts: int = 100) -> bool:
    """Return whether drafts lose of which so many of ten tokens are right."""
    for ticket in range(drafts):
        written = Decoded(ticket, b"", (1,) * 5, count=5, drafted=10, accepted=right)
        count.note(written, at_once)
    return count.added_to(Counters()).drafts_lose


@contextmanager
def closing_children(*drafts: Drafts) -> Generator[list["Child"]]:
    children = [Child(each) for each in drafts]
    try:
        yield children
    finally:
        for each in children:
            each.process.close()


class Child:
    """One that drafts, with what its trial needs."""

    def __init__(self, drafts: Drafts) -> None:
        self.woken = threading.Event()
        spec = a_spec(model_at(POCKET), context_length=2048, max_sequences=8)
        spec = replace(spec, drafts=drafts)
        self.count = DraftCount(spec, self.woken.set)
        self.requests = LlamaRequests(POCKET, read_template(POCKET), spec.context_length)
        self.process = child_of(spec, None, self.woken.set, PYTHON)
        while not self.process.ready():
            self._wait()

    def time(self) -> float:
        """Return what a drafted token costs."""
        while not self.count.is_timed(self.process, self.requests):
            self._wait()
        return self.count.cost

    def _wait(self) -> None:
        assert self.woken.wait(ENOUGH_SECONDS)
        self.woken.clear()


def test_what_a_drafted_token_costs_is_timed_while_the_model_loads() -> None:
    with closing_children(Lookup.NGRAM_MOD, model_at(POCKET, "itself")) as children:
        looked_up, guessed = (each.time() for each in children)

    assert 0 < looked_up < guessed  # who asks itself has read each token twice
    assert looked_up != count_of(Lookup.NGRAM_MOD).cost
    assert loses(count_of(Lookup.NGRAM_MOD, looked_up), right=0)
    assert not loses(count_of(Lookup.NGRAM_MOD, looked_up), right=10)


def test_a_child_that_takes_too_long_is_judged_by_what_others_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.engine.llama_trial._MOST_SECONDS", 0.2)
    with closing_children(Lookup.NGRAM_MOD) as (child,):
        psutil.Process(child.process.pid).suspend()

        assert child.time() == count_of(Lookup.NGRAM_MOD).cost


def test_what_a_draft_must_have_right_grows_with_its_cost_and_with_those_beside() -> None:
    def lose(cost: float, right: int, at_once: int = 1) -> bool:
        return loses(count_of(Lookup.NGRAM_MOD, cost), right, at_once)

    assert [lose(0.45, right) for right in (4, 5)] == [True, False]
    assert [lose(0.85, right) for right in (8, 9)] == [True, False]
    assert [lose(0.45, right, at_once=4) for right in (7, 8)] == [True, False]
    assert lose(1.2, 10, at_once=4)  # a token that costs more than a pass is never worth it


def test_drafts_lose_as_soon_as_they_have_lost_more_than_they_may() -> None:
    few, late = (count_of(Lookup.NGRAM_MOD, 0.5) for _ in range(2))

    assert not loses(few, right=0, drafts=6)
    assert loses(few, right=0, drafts=1)
    assert not loses(late, right=10, drafts=1000)
    assert not loses(late, right=0, drafts=60)
    assert loses(late, right=0, drafts=10)  # what was won does not count for ever


def test_a_model_that_never_drafts_is_there_for_nothing_and_a_look_up_costs_nothing() -> None:
    def in_vain(drafts: Drafts | None) -> bool:
        count = count_of(drafts)
        for ticket in range(1000):
            assert not count.added_to(Counters()).drafts_lose
            count.note(Decoded(ticket, b"a", (1,)), 1)
        return count.added_to(Counters()).drafts_lose

    assert in_vain(a_model(size_bytes=100))
    assert not in_vain(Lookup.NGRAM_MOD)
    assert not in_vain(None)
