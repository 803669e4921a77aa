"""Many sequences in one llama.cpp child that share its KV cache: none may ever over-fill it."""

import random
import re
import string
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.chat import SamplingParams
from models.engine.backend import (
    Admitted,
    Decoded,
    EmbedWork,
    Output,
    Pooled,
    Prefilled,
    SequenceFailed,
    Work,
)
from models.engine.grammar import CompiledGrammar
from models.engine.llama import LlamaBackend, open_llama
from models.engine.llama_sequence import Sequence
from models.events import FinishReason
from models.model import Files
from tests.fakes import a_model, a_spec

POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
CONTEXT = 512
GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)
ENOUGH_SECONDS = 60.0
# Letters, each about as likely as any other whatever the model would say: the seed alone draws.
# Of 32-bit numbers so far up, what the model thinks of them is less than a sixteenth.
FAIR = SamplingParams(
    temperature=1e4,
    top_k=0,
    top_p=1.0,
    logit_bias=tuple((each, 1e6) for each in string.ascii_lowercase),
)
# The alphabet, again and again, whatever the model would say.
IN_ORDER = SamplingParams(
    temperature=0.0,
    frequency_penalty=3e4,
    repeat_last_n=-1,
    logit_bias=tuple(
        (each, 1e6 - 1e3 * place) for place, each in enumerate(string.ascii_lowercase)
    ),
)
ALIKE = 0.1  # of log-probabilities: those behind another prompt are some times as far away


class Driver:
    """A backend, and all that has come of its sequences."""

    def __init__(self, *, shared_tokens: int | None, max_sequences: int = 8) -> None:
        model = replace(
            a_model("pocket", context_length=CONTEXT, kv_bytes_per_token=1024),
            files=Files(POCKET_FILE.parent, POCKET_FILE.name),
        )
        spec = a_spec(model, context_length=CONTEXT, max_sequences=max_sequences)
        spec = replace(spec, shared_tokens=shared_tokens, prompt_cache_bytes=4 << 20)
        self._woken = threading.Event()
        self.backend: LlamaBackend = open_llama(spec, self._woken.set)
        self.outputs: dict[int, list[Output]] = {}
        self.removed: set[int] = set()
        self._tickets = 0
        self.until(self.backend.load)

    def insert(self, *works: Work) -> list[int]:
        tickets = [self._tickets + place for place in range(1, len(works) + 1)]
        self._tickets += len(works)
        self.outputs |= {ticket: [] for ticket in tickets}
        self.backend.insert(dict(zip(tickets, works, strict=True)))
        return tickets

    def embed(self, *rows: tuple[int, ...]) -> int:
        self._tickets += 1
        self.outputs[self._tickets] = []
        self.backend.embed(self._tickets, EmbedWork(rows=rows))
        return self._tickets

    def remove(self, ticket: int) -> None:
        self.removed.add(ticket)
        self.backend.remove(ticket)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ENOUGH_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            self._woken.wait(0.05)
            self._woken.clear()
            if self.backend.has_work():
                for output in self.backend.step():
                    assert output.ticket not in self.removed
                    assert not self.ended(output.ticket), "nothing comes after the end"
                    self.outputs[output.ticket].append(output)

    def run(self, *works: Work) -> list[bytes]:
        tickets = self.insert(*works)
        self.until(lambda: all(map(self.ended, tickets)))
        return [self.text(each) for each in tickets]

    def decoded(self, ticket: int) -> list[Decoded]:
        return [each for each in self.outputs[ticket] if isinstance(each, Decoded)]

    def ended(self, ticket: int) -> bool:
        last = self.outputs[ticket][-1:]
        return any(
            isinstance(each, SequenceFailed) or (isinstance(each, Decoded) and bool(each.finish))
            for each in last
        )

    def text(self, ticket: int) -> bytes:
        return b"".join(each.piece for each in self.decoded(ticket))

    def count(self, ticket: int) -> int:
        return sum(each.count for each in self.decoded(ticket))

    def logprobs(self, ticket: int) -> list[float]:
        return [token.logprob for each in self.decoded(ticket) for token in each.logprobs]

    def pooled(self, ticket: int) -> int:
        return sum(isinstance(each, Pooled) for each in self.outputs[ticket])

    def failures(self) -> list[str]:
        return [
            str(each.error)
            for outputs in self.outputs.values()
            for each in outputs
            if isinstance(each, SequenceFailed)
        ]


@pytest.fixture
def open_driver() -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def open_one(shared_tokens: int | None, **options: int) -> Driver:
        drivers.append(Driver(shared_tokens=shared_tokens, **options))
        return drivers[-1]

    yield open_one
    for driver in drivers:
        driver.backend.close()


def a_work(
    *, prompt: int = 20, most: int = 20, sampling: SamplingParams = GREEDY, salt: int = 0
) -> Work:
    tokens = tuple(270 + (place * 7 + salt * 31) % 200 for place in range(prompt))
    return Work(tokens=tokens, max_tokens=most, sampling=sampling)


def test_random_requests_of_every_size_never_over_fill_the_cache(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 48)
    driver = open_driver(2 * CONTEXT)
    draws = random.Random(5)
    asked: dict[int, int] = {}
    while len(asked) < 60:
        prompt = draws.choice((1, 20, 90, 350))
        most = min(draws.choice((1, 20, 60, 200)), CONTEXT - 40 - prompt)
        seed = draws.choice((None, None, 3))
        sampling = SamplingParams(temperature=1.0, ignore_eos=True)
        work = a_work(prompt=prompt, most=most, salt=draws.randrange(3))
        works = [
            replace(work, sampling=replace(sampling, seed=None if seed is None else seed + place))
            for place in range(draws.choice((1, 1, 1, 2, 3)))
        ]
        tickets = driver.insert(*works)
        asked |= dict.fromkeys(tickets, most)
        if draws.random() < 0.2:
            driver.remove(tickets[0])
        running = [each for each in asked if each not in driver.removed]
        driver.until(lambda: sum(not driver.ended(each) for each in running) < 12)  # noqa: B023
    driver.until(lambda: all(driver.ended(each) for each in asked if each not in driver.removed))

    assert driver.failures() == []
    for ticket, most in asked.items():
        if ticket not in driver.removed:
            assert driver.count(ticket) == most


def test_a_group_starts_although_an_idle_slot_is_full_of_an_earlier_prompt(
    open_driver: Callable[..., Driver],
):
    driver = open_driver(CONTEXT + 256, max_sequences=2)
    driver.run(a_work(prompt=CONTEXT - 60, most=20))

    driver.run(*[a_work(prompt=CONTEXT - 110, most=20, salt=2)] * 2)

    assert driver.failures() == []


def test_what_is_written_in_turns_reads_as_if_written_in_one(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    work = replace(a_work(most=100, sampling=IN_ORDER), top_logprobs=0)
    one_turn = open_driver(None, max_sequences=2)
    (whole,) = one_turn.run(work)
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 16)
    driver = open_driver(CONTEXT)

    (in_turns,) = driver.run(work)

    assert in_turns == whole == (string.ascii_lowercase * 4)[:100].encode()
    assert driver.count(1) == 100
    assert driver.logprobs(1) == pytest.approx(one_turn.logprobs(1), abs=ALIKE)
    for kind in (Admitted, Prefilled):
        assert sum(isinstance(each, kind) for each in driver.outputs[1]) == 1


def test_an_answer_with_a_grammar_is_written_in_one_turn_beside_others_in_several(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 16)
    driver = open_driver(CONTEXT)
    # Begun anew it would say "[" again.
    grammar = CompiledGrammar('%llguidance {}\nstart: "[" /[ab]{300}/ "]" <[2]>')
    work = replace(a_work(most=330, sampling=SamplingParams(temperature=1.0)), grammar=grammar)
    (bound,) = driver.insert(work)
    (free,) = driver.insert(a_work(most=100, salt=1))

    driver.until(lambda: bool(driver.decoded(free)))
    assert not driver.ended(bound), "it reserves what it may write, and no more"
    driver.until(lambda: driver.ended(bound) and driver.ended(free))

    assert re.fullmatch(rb"\[[ab]{300}\]", driver.text(bound))
    assert driver.count(free) == 100


def test_a_long_answer_with_a_grammar_keeps_nobody_waiting_and_has_room_when_it_needs_it(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 64)
    driver = open_driver(CONTEXT)
    grammar = CompiledGrammar('%llguidance {}\nstart: "[" /[ab]{400}/ "]" <[2]>')
    most = CONTEXT - 20  # to the end of the context, as where nothing is said
    work = replace(a_work(most=most, sampling=SamplingParams(temperature=1.0)), grammar=grammar)
    (bound,) = driver.insert(work)
    others = [driver.insert(a_work(most=300, salt=salt))[0] for salt in (1, 2, 3)]

    driver.until(lambda: all(map(driver.decoded, others[:2])))
    assert not driver.ended(bound)
    driver.until(lambda: all(map(driver.ended, (bound, *others))))

    assert driver.failures() == []
    assert re.fullmatch(rb"\[[ab]{400}\]", driver.text(bound))
    assert [driver.count(each) for each in others] == [300, 300, 300]
    for ticket in others:
        assert sum(isinstance(each, Prefilled) for each in driver.outputs[ticket]) == 1


def test_half_a_character_at_the_end_of_a_turn_is_not_lost(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 16)
    hot = SamplingParams(temperature=50.0, top_k=0, top_p=1.0, ignore_eos=True)
    driver = open_driver(CONTEXT)

    (text,) = driver.run(a_work(most=120, sampling=hot))

    assert driver.count(1) == 120
    assert not text.isascii()
    assert driver.failures() == []


def test_halves_of_characters_without_end_are_written_to_the_end(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 16)
    driver = open_driver(CONTEXT)
    half, _ = driver.backend.prompter.tokenizer.encode("é")
    halves = replace(GREEDY, logit_bias=((half, 1e6),))

    assert driver.run(a_work(most=100, sampling=halves)) == [b""]

    assert driver.count(1) == 100
    assert driver.decoded(1)[-1].finish is FinishReason.MAX_TOKENS


def test_an_answer_of_which_nothing_is_heard_takes_no_room_from_others(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 32)
    driver = open_driver(CONTEXT)
    half, _ = driver.backend.prompter.tokenizer.encode("é")
    halves = replace(GREEDY, logit_bias=((half, 1e6),), seed=3)  # a seed: it is not stopped
    works = [a_work(most=300, salt=salt) for salt in range(7)]
    tickets = driver.insert(a_work(most=300, sampling=halves))
    tickets += [each for work in works for each in driver.insert(work)]

    driver.until(lambda: all(map(driver.ended, tickets)))

    assert driver.failures() == []
    assert [driver.count(each) for each in tickets] == [300] * 8


def test_two_long_chats_share_a_cache_that_would_hold_one_of_them(
    open_driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Sequence, "TURN_TOKENS", 32)
    driver = open_driver(CONTEXT)
    first, second = driver.insert(a_work(most=400)) + driver.insert(a_work(most=400, salt=1))

    driver.until(lambda: bool(driver.decoded(second)))
    assert not driver.ended(first), "it does not wait for the other's end"
    driver.until(lambda: driver.ended(first) and driver.ended(second))

    assert [driver.count(first), driver.count(second)] == [400, 400]


@pytest.mark.parametrize("shared_tokens", [None, 4 * CONTEXT])
def test_a_group_reads_its_prompt_once_and_says_what_each_would_say_alone(
    open_driver: Callable[..., Driver], shared_tokens: int | None
):
    driver = open_driver(shared_tokens)
    work = replace(a_work(prompt=100, most=20), top_logprobs=0)
    works = [replace(work, sampling=replace(FAIR, seed=seed)) for seed in (7, 8, 9, 4)]

    together = driver.run(*works)
    alone = [driver.run(work)[0] for work in works]

    assert together == alone
    assert len(set(together)) == 4
    for ticket in (1, 2, 3, 4):
        assert driver.outputs[ticket][0] == Admitted(ticket, 100)
        # That they have read the prompt is seen in what they think of the letters.
        assert driver.logprobs(ticket) == pytest.approx(driver.logprobs(ticket + 4), abs=ALIKE)


@pytest.mark.parametrize("shared_tokens", [None, 2 * CONTEXT])
def test_a_vector_does_not_wait_until_an_answer_has_ended_which_goes_on(
    open_driver: Callable[..., Driver], shared_tokens: int | None
):
    driver = open_driver(shared_tokens)
    (writer,) = driver.insert(a_work(most=450, sampling=IN_ORDER))
    driver.until(lambda: bool(driver.decoded(writer)))

    embedding = driver.embed((300, 301, 302))
    driver.until(lambda: driver.pooled(embedding) == 1)
    assert not driver.ended(writer)
    driver.until(lambda: driver.ended(writer))

    assert driver.text(writer) == (string.ascii_lowercase * 18)[:450].encode()
    assert driver.count(writer) == 450
    assert sum(isinstance(each, Admitted) for each in driver.outputs[writer]) == 1


def test_an_answer_with_a_seed_is_the_same_beside_a_text_to_embed(
    open_driver: Callable[..., Driver],
):
    driver = open_driver(None)
    work = a_work(most=450, sampling=replace(FAIR, seed=7))
    (alone,) = driver.run(work)
    (writer,) = driver.insert(work)
    driver.until(lambda: bool(driver.decoded(writer)))
    embedding = driver.embed((300, 301, 302))

    driver.until(lambda: driver.ended(writer) and driver.pooled(embedding) == 1)

    assert driver.text(writer) == alone


def test_many_texts_to_embed_leave_an_answer_its_turns(open_driver: Callable[..., Driver]):
    driver = open_driver(None)
    (writer,) = driver.insert(a_work(most=450, sampling=IN_ORDER))
    driver.until(lambda: bool(driver.decoded(writer)))
    embedding = driver.embed(*((300, 301),) * 200)

    driver.until(lambda: driver.ended(writer))

    assert driver.pooled(embedding) < 200


def test_one_of_a_group_can_go_and_the_others_go_on(open_driver: Callable[..., Driver]):
    driver = open_driver(None)
    first, second, third = driver.insert(*[a_work(most=200)] * 3)
    driver.until(lambda: bool(driver.decoded(second)))

    driver.remove(second)
    driver.until(lambda: driver.ended(first) and driver.ended(third))

    assert driver.count(first) == driver.count(third) == 200


def test_a_group_that_is_gone_whole_frees_its_slots(open_driver: Callable[..., Driver]):
    driver = open_driver(None, max_sequences=2)
    gone = driver.insert(*[a_work(most=490)] * 2)
    driver.until(lambda: bool(driver.decoded(gone[0])))

    for ticket in gone:
        driver.remove(ticket)
    driver.run(a_work(most=5))

    assert driver.decoded(3)[-1].finish is FinishReason.MAX_TOKENS
