"""What is told of a model that works: how fast it is, and when it took its last step."""

import pytest

from models.engine.backend import Admitted, Decoded, Prefilled
from models.engine.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def decode(pace: Pace, clock: Clock, seconds: float, per_second: int) -> None:
    for _ in range(int(seconds * per_second)):
        clock.now += 1 / per_second
        pace.take(Decoded(1, b"x", (1,)))


def test_the_speed_is_that_of_the_last_seconds(clock: Clock) -> None:
    pace = Pace()
    decode(pace, clock, 20, 10)
    assert pace.doing(stepping=True).tokens_per_second == pytest.approx(10, rel=0.1)

    decode(pace, clock, 10, 40)
    assert pace.doing(stepping=True).tokens_per_second == pytest.approx(40, rel=0.1)


def test_the_first_tokens_tell_the_speed_already(clock: Clock) -> None:
    pace = Pace()
    decode(pace, clock, 1.5, 20)

    assert pace.doing(stepping=True).tokens_per_second == pytest.approx(20, rel=0.35)


def test_a_pause_ends_it(clock: Clock) -> None:
    pace = Pace()
    decode(pace, clock, 5, 10)
    clock.now += 20

    assert pace.doing(stepping=True).tokens_per_second == 0
    assert pace.doing(stepping=False).tokens_per_second == 0


def test_all_sequences_count_together_and_each_token(clock: Clock) -> None:
    pace = Pace()
    for _ in range(50):
        clock.now += 0.1
        pace.take(Decoded(1, b"x", (1,)))
        pace.take(Decoded(2, b"abc", (1, 2, 3), count=3))

    assert pace.doing(stepping=True).tokens_per_second == pytest.approx(40, rel=0.15)


def test_the_share_of_cached_tokens_is_that_of_all_prompts() -> None:
    pace = Pace()
    assert pace.doing(stepping=False).cached_share == 0
    for ticket, cached in ((1, 0), (2, 90)):
        pace.take(Admitted(ticket, 100))
        pace.take(Prefilled(ticket, cached))

    doing = pace.doing(stepping=True)
    assert (doing.prompt_tokens, doing.cached_tokens, doing.cached_share) == (200, 90, 0.45)


def test_silence_begins_with_the_work_and_ends_with_every_step(clock: Clock) -> None:
    pace = Pace()
    clock.now += 500
    assert pace.doing(stepping=False).silent_seconds == 0

    pace.resume()
    clock.now += 7
    assert pace.doing(stepping=True).silent_seconds == 7
    pace.take(Prefilled(1, 0))
    assert pace.doing(stepping=True).silent_seconds == 0
