"""Who is alone decodes with drafts, and says what it would have said in the batch."""

import shutil
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import pytest

from app.services import open_everything
from models import builtin
from models.chat import GenerateRequest, SamplingParams
from models.engine.backend import Decoded
from models.engine.installed import has_mlx
from models.engine.mlx_lookup import Drafting, Lookup, Watch
from models.events import Finished, FinishReason
from tests.fakes import A_TEST
from tests.listener import Listener
from tests.models.engine.mlx_models import VOCABULARY, Machine, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

PASSAGE = [(place * 31) % VOCABULARY for place in range(40)]
PROMPT = PASSAGE * 3
SEEDS = (5,)  # drawn, a text goes on to say something new

model_of = cache(make_model)


@cache
def plain(count: int, seeds: tuple[int, ...] = ()) -> list[int]:
    return Machine(model_of("llama"), cache_bytes=0).answer(PROMPT, count, seeds=seeds)


class Guess(Lookup):
    """Knows what will be said, and is wrong in every twentieth token."""

    def __init__(self, said: Sequence[int]) -> None:
        super().__init__(PROMPT)
        self._said = said

    def draft(self, most: int) -> list[int]:
        place = len(self.tokens) - len(PROMPT)
        return [
            (token + ((place + ahead) % 20 == 19)) % VOCABULARY
            for ahead, token in enumerate(self._said[place : place + most])
        ]


def guessing(said: Sequence[int], tokens: Sequence[int]) -> Watch:
    watch = Watch(tokens)
    watch.lookup = Guess(said)
    return watch


def machine_that_guesses(stop_tokens: frozenset[int] = frozenset()) -> Machine:
    return Machine(
        model_of("llama"), new_watch=partial(guessing, plain(160, SEEDS)), stop_tokens=stop_tokens
    )


def is_alone(machine: Machine) -> bool:
    return any(home.alone for home in machine.batches.homes)


def steps_until(machine: Machine, done: Callable[[], bool]) -> None:
    while not done():
        assert machine.runner.has_work
        machine.outputs += machine.runner.step()


def test_alone_it_says_the_same_in_fewer_steps() -> None:
    machine = Machine(model_of("llama"), new_watch=Watch)
    machine.start(1, PROMPT, 200)
    steps = 0
    while machine.runner.has_work:
        machine.outputs += machine.runner.step()
        steps += 1

    assert machine.said(1) == plain(200)
    assert steps < 170
    decoded = [each for each in machine.outputs if isinstance(each, Decoded)]
    assert all(each.count == len(each.ids or ()) == 1 for each in decoded)


def test_another_that_comes_has_it_go_on_in_the_batch_and_nothing_is_lost() -> None:
    machine = machine_that_guesses()
    machine.start(1, PROMPT, 160, seeds=SEEDS)
    steps_until(machine, lambda: is_alone(machine) and len(machine.said(1)) > 40)
    other = [7, 3, *PROMPT]
    machine.start(2, other, 12)
    machine.outputs += machine.runner.step()

    assert not is_alone(machine)
    steps_until(machine, lambda: len(machine.said(2)) == 12)
    assert len(machine.said(1)) < 100
    steps_until(machine, lambda: is_alone(machine))  # once more, when the other has ended
    machine.run()

    assert machine.said(1) == plain(160, SEEDS)
    assert machine.said(2) == Machine(model_of("llama"), cache_bytes=0).answer(other, 12)
    assert not machine.failed()


def test_a_cancel_ends_it_and_what_it_said_is_not_read_again() -> None:
    machine = machine_that_guesses()
    machine.start(1, PROMPT, 160, seeds=SEEDS)
    steps_until(machine, lambda: is_alone(machine) and len(machine.said(1)) > 60)
    machine.runner.remove(1)

    assert not machine.runner.has_work
    assert not machine.batches.count
    longer = [*PROMPT, *machine.said(1), 8, 9]
    answer = machine.answer(longer, 12)
    assert machine.cached() == len(longer) - 3
    assert answer == Machine(model_of("llama"), cache_bytes=0).answer(longer, 12)


@pytest.mark.parametrize("count", range(64, 72))
def test_the_last_token_may_be_any_of_a_draft(count: int) -> None:
    machine = machine_that_guesses()
    machine.start(1, PROMPT, count, seeds=SEEDS)
    machine.run()

    assert machine.said(1) == plain(160, SEEDS)[:count]
    finished = [each for each in machine.outputs if isinstance(each, Decoded) and each.finish]
    assert [each.finish for each in finished] == [FinishReason.MAX_TOKENS]
    longer = [*PROMPT, *machine.said(1), 8, 9]
    answer = machine.answer(longer, 12)
    assert machine.cached() >= len(longer) - 3
    assert answer == Machine(model_of("llama"), cache_bytes=0).answer(longer, 12)


def test_the_end_of_a_turn_may_be_any_of_a_draft() -> None:
    said = plain(160, SEEDS)
    ends = [place for place in range(60, 90) if said[place] not in said[:place]]
    assert len(ends) > 8
    for place in ends[:6]:
        machine = machine_that_guesses(stop_tokens=frozenset({said[place]}))
        machine.start(1, PROMPT, 160, seeds=SEEDS)
        machine.run()

        assert machine.said(1) == said[: place + 1]
        last = [each for each in machine.outputs if isinstance(each, Decoded)][-1]
        assert last.finish is FinishReason.END_OF_TURN
        longer = [*PROMPT, *said[:place], 8, 9]
        machine.answer(longer, 1)
        assert machine.cached() == len(longer) - 2


def test_drafts_that_are_wrong_are_given_up_and_the_batch_goes_on() -> None:
    machine = machine_that_guesses()
    machine.start(1, PROMPT, 160, seeds=SEEDS)
    steps_until(machine, lambda: is_alone(machine))
    (row,) = machine.batches.rows()
    assert row.watch
    knows_nothing = Guess([])
    knows_nothing.tokens = row.watch.lookup.tokens
    row.watch.lookup = knows_nothing
    steps_until(machine, lambda: not is_alone(machine))
    assert machine.runner.has_work
    machine.run()

    assert machine.said(1) == plain(160, SEEDS)


def test_a_step_that_fails_ends_it_and_the_next_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> list[int]:
        raise RuntimeError("[METAL] Command buffer execution failed")

    machine = machine_that_guesses()
    machine.start(1, PROMPT, 160, seeds=SEEDS)
    steps_until(machine, lambda: is_alone(machine))
    with monkeypatch.context() as broken:
        broken.setattr(Drafting, "step", fail)
        machine.run()

    assert [each.ticket for each in machine.failed()] == [1]
    assert not machine.batches.count
    assert machine.answer(PROMPT, 160, seeds=SEEDS) == plain(160, SEEDS)


Told = tuple[str, FinishReason, int, int, tuple[int, ...] | None]


def answers(home: Path) -> list[Told]:
    """What the built-in model says, without its eyes: behind this prompt, the same again and again.

    Models that see write without drafts.
    """
    asked = [((), 150), ((" ab" * 65,), 150)]
    told: list[Told] = []
    with open_everything(home) as services:
        alone = home / "text"
        shutil.copytree(builtin.FOLDER / "mlx", alone, ignore=shutil.ignore_patterns("vision"))
        model = services.store.import_path(alone, "text").name
        for stop, max_tokens in asked:
            listener = Listener()
            request = GenerateRequest(
                model=str(model),
                prompt="ab ab ab ab ab ab ab ab ab ab",
                sampling=SamplingParams(temperature=0.0),
                max_tokens=max_tokens,
                stop=stop,
                want_tokens=True,
            )
            services.residency.submit(request, listener, origin=A_TEST)
            last = listener.end()
            assert isinstance(last, Finished)
            used = last.usage
            counts = (used.completion_tokens, used.cached_tokens)
            told.append((listener.text, last.reason, *counts, last.tokens))
    return told


def test_text_end_and_usage_of_an_answer_are_those_without_drafts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    step = Drafting.step

    def counted(drafting: Drafting, most: int, stop_tokens: frozenset[int]) -> list[int]:
        nonlocal passes
        passes += 1
        return step(drafting, most, stop_tokens)

    monkeypatch.setattr(Drafting, "step", counted)
    without = answers(tmp_path / "without")
    assert not passes  # not on a CPU
    monkeypatch.setattr("models.engine.mlx_model._DRAFTS_ON_CPU", True)

    assert answers(tmp_path / "with") == without
    assert passes
    assert [reason for _, reason, *_ in without] == [
        FinishReason.MAX_TOKENS,
        FinishReason.STOP_STRING,
    ]
