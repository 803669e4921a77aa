"""A request moves only where the table lets it."""

import pytest

from models.chat import GenerateRequest
from models.engine.job import MOVES, Group, Job, State
from tests.fakes import A_TEST, a_model


def job(ticket: int = 1) -> Job:
    return Job(ticket, GenerateRequest(model="m", prompt="x"), lambda _: None, A_TEST, 0.0)


def test_every_state_can_end_but_the_end_itself() -> None:
    for state, after in MOVES.items():
        assert (State.ENDED in after) is (state is not State.ENDED)


def test_a_request_goes_the_whole_way() -> None:
    one = job()

    for state in (State.PARKED, State.WAITING, State.PREPARING, State.INSERTED, State.DECODING):
        one.move(state)
    one.move(State.ENDED)

    assert one.state is State.ENDED


@pytest.mark.parametrize("state", list(State))
def test_nothing_comes_after_the_end(state: State) -> None:
    one = job()
    one.move(State.ENDED)

    with pytest.raises(AssertionError, match="ended to"):
        one.move(state)


def test_a_step_cannot_be_left_out() -> None:
    with pytest.raises(AssertionError, match="request 1: arrived to decoding"):
        job().move(State.DECODING)


def test_one_of_a_group_is_taken_out_alone() -> None:
    group = Group(a_model(), [job(1), job(2)])

    assert group.take_out(2) is not None
    assert group.take_out(2) is None
    assert [each.ticket for each in group.jobs] == [1]
