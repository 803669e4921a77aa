"""Prompts read, kept and found again; rows together, in turn and put aside: equal texts."""

import random
from functools import cache
from typing import Any

import pytest

from models.engine.backend import Admitted, Decoded, Output, Prefilled
from models.engine.installed import has_mlx
from models.errors import ModelCrashed
from tests.models.engine.mlx_models import CHUNK, KINDS, VOCABULARY, Machine, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

model_of = cache(make_model)


def some(count: int, seed: int = 0) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(VOCABULARY) for _ in range(count)]


SYSTEM = some(70)


@cache
def alone(kind: str, tokens: tuple[int, ...], count: int) -> list[int]:
    """What a cold run of its own says."""
    return Machine(model_of(kind), cache_bytes=0).answer(tokens, count)


# -- Found again ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_asked_again_is_not_read_again(kind: str) -> None:
    machine = Machine(model_of(kind))
    prompt = some(100)
    first = machine.answer(prompt, 12)
    assert machine.cached() == 0

    again = machine.answer(prompt, 12)

    assert again == first == alone(kind, tuple(prompt), 12)
    assert machine.cached() == 99
    assert (machine.prefixes.hits, machine.prefixes.misses) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_turn_of_a_chat_goes_on_from_the_last(kind: str) -> None:
    machine = Machine(model_of(kind))
    turn = SYSTEM + some(30)
    answer = machine.answer(turn, 12)
    next_turn = turn + answer + some(40, seed=1)

    machine.answer(next_turn, 12)

    assert machine.cached() == len(turn) + 12  # the answer too
    assert machine.said() == alone(kind, tuple(next_turn), 12)


@pytest.mark.parametrize("kind", KINDS)
def test_another_chat_with_the_same_system_prompt_begins_behind_it(kind: str) -> None:
    machine = Machine(model_of(kind))
    machine.answer(SYSTEM + some(80, seed=1), marks=(len(SYSTEM), 120))
    other = SYSTEM + some(80, seed=2)

    machine.answer(other, 12)

    assert machine.cached() == len(SYSTEM)
    assert machine.said() == alone(kind, tuple(other), 12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_was_cancelled_half_way_is_not_lost(kind: str) -> None:
    machine = Machine(model_of(kind))
    prompt = some(200)
    machine.start(1, prompt)
    for _ in range(3):
        machine.outputs += machine.runner.step()
    machine.runner.remove(1)

    machine.answer(prompt, 12)

    assert machine.cached() == 2 * CHUNK
    assert machine.said() == alone(kind, tuple(prompt), 12)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_was_cancelled_is_not_lost(kind: str) -> None:
    machine = Machine(model_of(kind))
    prompt = some(50)
    machine.start(1, prompt, 20)
    machine.run(until=lambda _: len(machine.said(1)) == 5)
    machine.runner.remove(1)
    longer = prompt + machine.said(1) + some(20, seed=1)

    machine.answer(longer, 12)

    assert machine.cached() == len(prompt) + 5
    assert machine.said() == alone(kind, tuple(longer), 12)


@pytest.mark.parametrize("kind", KINDS)
def test_many_that_come_and_go_say_what_each_says_alone(kind: str) -> None:
    chance = random.Random(11)
    prompts = [SYSTEM + some(chance.randrange(1, 200), seed=100 + each) for each in range(10)]
    expected = [alone(kind, tuple(prompt), 6) for prompt in prompts]
    machine = Machine(model_of(kind), most_rows=4)

    for ticket, number in enumerate([*range(10), 3, 5, 7]):
        marks = (len(SYSTEM), len(prompts[number]) - 1)
        machine.start(ticket, prompts[number], 6, marks=marks)
        for _ in range(3):
            machine.outputs += machine.runner.step()
        if ticket == 6:
            machine.runner.remove(5)
            machine.runner.remove(6)
    machine.run()

    for ticket, number in enumerate([*range(10), 3, 5, 7]):
        if ticket not in (5, 6):
            assert machine.said(ticket) == expected[number]
    assert machine.prefixes.hits >= 8
    assert not machine.failed()


def test_answers_that_share_a_beginning_with_one_that_is_read_wait_for_it() -> None:
    machine = Machine(model_of("llama"))
    for ticket in range(4):
        machine.start(ticket, [*SYSTEM, ticket])
    machine.run()

    assert [machine.cached(ticket) for ticket in range(4)] == [0, 70, 70, 70]


# -- To the bit -------------------------------------------------------------------------


def state_of(machine: Machine, prompt: list[int]) -> list[Any]:
    """Everything that was kept of a prompt."""
    hit = machine.prefixes.fetch([*prompt, 0])
    assert hit
    assert hit.length == len(prompt)
    keys = [layer.keys[..., : layer.offset, :] for layer in hit.layers]
    return [key.tolist() for key in keys]


def test_with_a_seed_what_is_reused_is_a_cold_runs_to_the_bit() -> None:
    prompt = some(150)
    cold = Machine(model_of("llama"))
    cold.answer(prompt, 1, seeds=(1,))
    warm = Machine(model_of("llama"))
    warm.answer(prompt[:120], seeds=(1,))
    warm.answer(some(40, seed=5))

    warm.answer(prompt, 1, seeds=(1,))

    assert warm.cached() == 96  # of 119 those up to the grid
    assert state_of(warm, prompt) == state_of(cold, prompt)


def test_with_a_seed_nothing_is_reused_that_an_answer_wrote() -> None:
    machine = Machine(model_of("llama"))
    prompt = some(40)
    answer = machine.answer(prompt, 60, seeds=(1,))

    machine.answer(prompt + answer + some(5), seeds=(1,))

    assert machine.cached() == CHUNK


def test_with_a_seed_a_state_that_cannot_be_cut_is_kept_at_the_grid() -> None:
    machine = Machine(model_of("lfm2"))
    machine.answer(SYSTEM + some(50, seed=1), seeds=(1,), marks=(len(SYSTEM),))
    other = SYSTEM + some(50, seed=2)

    machine.answer(other, 12, seeds=(1,))

    assert machine.cached() == 64
    assert machine.said() == Machine(model_of("lfm2"), cache_bytes=0).answer(other, 12, seeds=(1,))


def test_with_a_seed_a_text_is_the_same_on_a_busy_and_on_a_quiet_day() -> None:
    machine = Machine(model_of("llama"), most_rows=6)
    prompt = SYSTEM + some(60)
    quiet = machine.answer(prompt, 20, seeds=(7,))

    for day in range(20):
        for ticket in range(day % 5):
            machine.start(100 + ticket, SYSTEM + some(20 * ticket, seed=day), 4 + day)
        machine.run(until=lambda _, day=day: len(machine.outputs) > 40 * (day % 3))
        assert machine.answer(prompt, 20, seeds=(7,)) == quiet


def test_alone_and_without_a_seed_a_prompt_is_read_in_larger_chunks() -> None:
    machine = Machine(model_of("llama"), alone=4 * CHUNK)
    prompt = some(10 * CHUNK)
    machine.answer(prompt, 1)
    first = len(machine.outputs)
    machine.answer(prompt, 1, seeds=(1,))

    assert machine.cached() == 0  # it is rounded otherwise
    assert first == 5
    assert len(machine.outputs) - first < 12


# -- Groups -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_reads_its_prompt_once_and_says_what_each_says_alone(kind: str) -> None:
    prompt = some(100)
    cold = Machine(model_of(kind), cache_bytes=0)
    expected = [cold.answer(prompt, 10, seeds=(seed,)) for seed in range(4)]
    machine = Machine(model_of(kind), cache_bytes=0)

    machine.start(1, prompt, 10, seeds=(0, 1, 2, 3))
    steps = 0
    while machine.runner.has_work:
        machine.outputs += machine.runner.step()
        steps += 1

    assert [machine.said(ticket) for ticket in (1, 2, 3, 4)] == expected
    assert steps < 1 + 4 + 10 + 3  # the beginning, chunks, tokens, and the way between
    assert len({each.ticket for each in machine.outputs if isinstance(each, Admitted)}) == 4


def test_each_of_a_group_is_cancelled_alone() -> None:
    prompt = some(100)
    expected = Machine(model_of("llama")).answer(prompt, 10, seeds=(2,))
    machine = Machine(model_of("llama"))
    machine.start(1, prompt, 10, seeds=(0, 1, 2, 3))
    machine.outputs += machine.runner.step()

    machine.runner.remove(1)  # before its prompt is read
    machine.run(until=lambda _: len(machine.said(2)) == 3)
    machine.runner.remove(2)  # in the middle of its answer
    machine.runner.remove(4)
    machine.run()

    assert machine.said(3) == expected
    assert not machine.said(1)
    assert len(machine.said(2)) == len(machine.said(4)) == 3
    assert not machine.batches.count


def test_a_group_larger_than_the_batch_comes_in_parts() -> None:
    machine = Machine(model_of("llama"), most_rows=3, cache_bytes=0)
    machine.start(1, some(50), 5, seeds=tuple(range(8)))
    machine.run()

    assert [len(machine.said(ticket)) for ticket in range(1, 9)] == [5] * 8


# -- Whose turn it is -------------------------------------------------------------------


def order_of_first_tokens(machine: Machine) -> list[int]:
    order: list[int] = []
    for each in machine.outputs:
        if isinstance(each, Decoded) and each.ticket not in order:
            order.append(each.ticket)
    return order


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_newcomer_goes_before_a_long_prompt_and_changes_nothing_of_it(kind: str) -> None:
    long, short = some(900), some(40, seed=1)
    machine = Machine(model_of(kind), cache_bytes=0)
    machine.start(1, long)
    for _ in range(5):
        machine.outputs += machine.runner.step()
    machine.start(2, short)
    machine.run()

    assert order_of_first_tokens(machine) == [2, 1]
    assert machine.said(1) == alone(kind, tuple(long), 8)
    assert machine.said(2) == alone(kind, tuple(short), 8)


def test_short_newcomers_without_end_do_not_keep_a_long_prompt_from_being_read() -> None:
    machine = Machine(model_of("llama"), cache_bytes=0)
    machine.start(1, some(400))
    for ticket in range(2, 300):
        machine.start(ticket, some(CHUNK, seed=ticket), 1)
        machine.outputs += machine.runner.step()
        machine.outputs += machine.runner.step()
        if machine.said(1):
            break
    else:
        pytest.fail("it never came to its turn")


def test_who_is_watched_goes_first_and_the_others_in_order() -> None:
    machine = Machine(model_of("llama"), most_rows=1)
    for ticket in (1, 2, 3):
        machine.start(ticket, some(20, seed=ticket))
    machine.outputs += machine.runner.step()
    machine.start(4, some(20, seed=4), urgent=True)
    machine.start(5, some(20, seed=5), urgent=True)
    machine.run()

    assert order_of_first_tokens(machine) == [1, 4, 5, 2, 3]


def test_others_get_a_token_between_two_chunks() -> None:
    machine = Machine(model_of("llama"))
    machine.start(1, some(10), 100)
    machine.run(until=lambda _: bool(machine.said(1)))
    machine.start(2, some(20 * CHUNK), 1)
    before = len(machine.said(1))
    machine.run(until=lambda _: any(isinstance(e, Prefilled) for e in of(machine, 2)))

    assert len(machine.said(1)) - before >= 20


def of(machine: Machine, ticket: int) -> list[Output]:
    return [each for each in machine.outputs if each.ticket == ticket]


# -- Room -------------------------------------------------------------------------------


def test_one_that_is_too_large_beside_others_waits_until_they_have_ended() -> None:
    machine = Machine(model_of("llama"), cache_bytes=0)
    machine = Machine(model_of("llama"), cache_bytes=0, room_bytes=machine.cost(512, 1))
    machine.start(1, some(40), 10)
    machine.start(2, some(900), 10)  # more than there is room for: alone it is let in
    machine.start(3, some(40, seed=3), 10)
    machine.run(until=lambda _: len(machine.said(1)) == 10)
    assert [each.ticket for each in machine.outputs if isinstance(each, Admitted)] == [1]
    machine.run()

    assert order_of_first_tokens(machine) == [1, 2, 3]
    assert machine.said(2) == alone("llama", tuple(some(900)), 10)


def test_prefixes_go_before_anybody_has_to_wait() -> None:
    model = model_of("llama")
    cost = Machine(model).cost
    machine = Machine(model, room_bytes=cost(512, 4), cache_bytes=cost(512, 4))
    for seed in range(6):
        machine.answer(some(200, seed=seed), 4)
    assert machine.prefixes.used_bytes > cost(256, 4)

    for ticket in range(4):
        machine.start(ticket, some(300, seed=10 + ticket), 20)
    machine.outputs = machine.runner.step()

    assert len([each for each in machine.outputs if isinstance(each, Admitted)]) == 4
    assert machine.prefixes.used_bytes <= cost(512, 4) - machine.batches.promised_bytes


@pytest.mark.parametrize(
    ("kind", "cache_bytes"), [*((kind, 1 << 30) for kind in KINDS), ("llama", 0), ("lfm2", 0)]
)
def test_one_whose_answer_outgrows_the_room_is_put_aside_and_goes_on(
    kind: str, cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.engine.mlx_runner._EXPECTED_TOKENS", 8)
    monkeypatch.setattr("models.engine.mlx_runner._GROWTH_TOKENS", 8)
    model = model_of(kind)
    cold = Machine(model, cache_bytes=0)
    prompts = [some(240, seed=seed) for seed in range(3)]
    expected = [cold.answer(prompts[seed], 24, seeds=(seed,)) for seed in range(3)]
    room = cold.cost(256, 3)
    machine = Machine(model, cache_bytes=cache_bytes, room_bytes=room)

    for seed in range(3):
        machine.start(seed, prompts[seed], 24, seeds=(seed,))
    most = most_together = 0
    while machine.runner.has_work:
        machine.outputs += machine.runner.step()
        most = max(most, machine.batches.promised_bytes)
        most_together = max(most_together, machine.batches.count)

    assert most_together == 3
    assert most <= room or cold.cost(256, 1) == cold.cost(512, 1)
    assert [machine.said(seed) for seed in range(3)] == expected
    for seed in range(3):
        assert [type(each) for each in of(machine, seed)].count(Prefilled) == 1


def test_who_reads_along_sees_each_token_once_although_its_row_was_put_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.engine.mlx_runner._EXPECTED_TOKENS", 8)
    monkeypatch.setattr("models.engine.mlx_runner._GROWTH_TOKENS", 8)
    seen: dict[int, list[int]] = {1: [], 2: []}

    def read_along(ticket: int, tokens: Any, logits: Any) -> Any:
        seen[ticket].append(tokens[-1].item())
        return logits

    model = model_of("llama")
    room = Machine(model).cost(256, 2)
    machine = Machine(model, room_bytes=room, processor=read_along)
    prompt = some(240)
    machine.start(1, prompt, 40, seeds=(1,))
    machine.start(2, prompt, 40, seeds=(2,))
    machine.run(until=lambda _: machine.batches.count == 1 and bool(machine.said(2)))
    assert machine.runner.has_work
    machine.run()

    for ticket in (1, 2):
        read = [prompt[-1], *machine.said(ticket)]
        assert seen[ticket][: len(read)] == read
        assert len(machine.said(ticket)) == 40


def test_long_and_short_ones_run_apart_where_padding_costs_more_than_the_weights() -> None:
    model = model_of("llama")
    weights = 100_000
    machine = Machine(model, weights_bytes=weights)
    prompts = {1: some(600), **{ticket: some(20, seed=ticket) for ticket in range(2, 7)}}
    for ticket, prompt in prompts.items():
        machine.start(ticket, prompt, 40)
    machine.run(until=lambda _: all(machine.said(ticket) for ticket in prompts))

    assert sorted(len(home.rows) for home in machine.batches.homes) == [1, 5]
    assert machine.batches.promised_bytes < machine.cost(640, 4)
    machine.run()
    for ticket, prompt in prompts.items():
        assert machine.said(ticket) == alone("llama", tuple(prompt), 40)


# -- Failing, and the end ---------------------------------------------------------------


def test_when_memory_runs_out_the_prefixes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(model_of("llama"))
    machine.answer(some(100))
    machine.start(1, some(20, seed=1))
    machine.run(until=lambda _: bool(machine.said(1)))
    assert machine.prefixes.used_bytes

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("[metal::malloc] Attempting to allocate 8 bytes")

    with monkeypatch.context() as broken:
        broken.setattr(type(model_of("llama")), "__call__", fail)
        machine.run()

    assert [each.ticket for each in machine.failed()] == [1]
    assert not machine.prefixes.used_bytes
    assert machine.answer(some(100), 12) == alone("llama", tuple(some(100)), 12)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_in_memory_that_is_not_counted(kind: str) -> None:
    model = make_model(kind)
    machine = Machine(model)
    machine.answer(some(10), 2)
    machine.prefixes.clear()
    machine.mx.clear_cache()
    before = machine.mx.get_active_memory()

    for number in range(4):
        prompt = SYSTEM + some(40 * number, seed=number)
        machine.start(number, prompt, 6, marks=(len(SYSTEM), len(prompt) - 2))
    machine.start(9, some(300), 6)
    machine.run(until=lambda _: len(machine.said(2)) == 3)
    machine.runner.remove(2)
    machine.run()
    machine.outputs.clear()

    held = machine.mx.get_active_memory() - before
    assert held <= machine.prefixes.used_bytes * 1.2 + 20_000
    machine.runner.close()
    assert machine.mx.get_active_memory() - before < 20_000
    assert not machine.prefixes.used_bytes


def test_a_row_that_is_told_why_it_cannot_go_on_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stopped(ticket: int, tokens: Any, logits: Any) -> Any:
        if ticket == 1:
            raise ModelCrashed("The process that keeps answers to their form has stopped.")
        return logits

    machine = Machine(model_of("llama"), processor=stopped)
    machine.start(1, some(40))
    machine.start(2, some(50))
    machine.run()

    assert [(each.ticket, str(each.error)) for each in machine.failed()] == [
        (1, "The process that keeps answers to their form has stopped.")
    ]
    assert len(machine.said(2)) == 8
    assert not caplog.records
