"""What a row adds to its logits: DRY against llama.cpp's semantics, biases and penalties."""

import math
import random
from importlib import import_module
from typing import Any

import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_dry import Breakers, find_breakers, has_dry, make_dry, runs
from models.engine.mlx_penalties import make_biases, make_penalties
from models.engine.mlx_vocabulary import Vocabulary
from models.engine.sampling import Sampling

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)


@pytest.fixture(name="mx")
def mlx_core() -> Any:
    return import_module("mlx.core")


def longest_run(tokens: list[int], place: int) -> int:
    length = 0
    while length <= place and tokens[place - length] == tokens[len(tokens) - 1 - length]:
        length += 1
    return length


def llama_penalties(
    tokens: list[int], sampling: Sampling, breakers: Breakers, vocabulary: int
) -> list[float]:
    """What llama.cpp takes off each logit (llama_sampler_dry_apply), place by place."""
    window = tokens[-sampling.dry_penalty_last_n :] if sampling.dry_penalty_last_n > 0 else tokens
    last = len(tokens) - 1
    ends = [last - place for place in range(len(tokens)) if breakers.end(tokens, place)]
    limit = min([len(window), *ends])
    lengths: dict[int, int] = {}
    for place in range(len(window) - 1):
        length = min(longest_run(window, place), limit)
        if length >= sampling.dry_allowed_length:
            follower = window[place + 1]
            lengths[follower] = max(lengths.get(follower, 0), length)
    most = int(88.7228391 / math.log(sampling.dry_base)) if sampling.dry_base > 1.000001 else 10**6
    penalties = [0.0] * vocabulary
    for token, length in lengths.items():
        exponent = min(length - sampling.dry_allowed_length, most)
        if token not in breakers.single:
            penalties[token] = sampling.dry_multiplier * sampling.dry_base**exponent
    return penalties


@pytest.mark.parametrize("last_n", [-1, 2, 5, 9])
@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("base", [1.0, 1.75, 3.0])
def test_dry_takes_off_what_llama_cpp_takes_off(
    mx: Any, last_n: int, allowed: int, base: float
) -> None:
    draw = random.Random(last_n * 100 + allowed)
    sampling = Sampling(
        dry_multiplier=0.8, dry_base=base, dry_allowed_length=allowed, dry_penalty_last_n=last_n
    )
    for breakers in (Breakers(), Breakers(frozenset({0}), {(1, 2): frozenset({1, 2})})):
        tokens = [draw.randrange(4) for _ in range(8)]
        dry = make_dry(mx, sampling, breakers)
        for _ in range(12):
            logits = dry(mx.array(tokens), mx.zeros((1, 4)))

            wanted = [-each for each in llama_penalties(tokens, sampling, breakers, 4)]
            assert logits[0].tolist() == pytest.approx(wanted, rel=1e-4)
            tokens.append(draw.randrange(4))


def test_dry_takes_up_a_text_that_it_has_not_seen_grow(mx: Any) -> None:
    tokens = [3, 1, 2, 3, 1, 2, 3, 1]
    sampling = Sampling(dry_multiplier=1.0)
    dry = make_dry(mx, sampling, Breakers())
    dry(mx.array(tokens[:3]), mx.zeros((1, 4)))

    logits = dry(mx.array(tokens), mx.zeros((1, 4)))

    assert (-logits[0]).tolist() == pytest.approx(llama_penalties(tokens, sampling, Breakers(), 4))


def test_a_run_of_one_token_costs_no_more_than_a_32_bit_number(mx: Any) -> None:
    dry = make_dry(mx, Sampling(dry_multiplier=1.0, dry_base=1e6), Breakers())

    logits = dry(mx.array([1] * 300), mx.zeros((1, 4)))

    assert -3.5e38 < logits[0, 1].item() < -1e30
    assert logits[0, 0].item() == 0


def test_runs_are_counted_in_a_time_that_grows_with_the_text_alone() -> None:
    assert runs([1, 2, 3, 3, 2, 3, 9, 1, 2, 3]) == [0, 0, 3, 1, 0, 2, 0, 0, 0]
    assert runs([5] * 100_000)[-1] == 99_999
    assert not runs([5])


@pytest.mark.parametrize(
    "idle",
    [
        {},
        {"dry_multiplier": 1.0, "dry_base": 0.9},
        {"dry_multiplier": 1.0, "dry_penalty_last_n": 0},
    ],
)
def test_dry_is_off_where_llama_cpp_has_it_off(idle: dict[str, Any]) -> None:
    assert not has_dry(Sampling(**idle))
    assert has_dry(Sampling(dry_multiplier=0.1))


def test_a_breaker_is_found_in_every_token_that_it_may_begin_in() -> None:
    pieces = [b"a", b"\n", b"x\n", b"\n\n", b"b\n\nc", b"no"]

    breakers = find_breakers(["\n\n", "", "no"], pieces, lambda text: [1] * len(text))

    assert breakers.single == {3, 4, 5}
    assert breakers.tails == {(1,): {1, 2}}
    assert breakers.end([0, 2, 1], 2)
    assert not breakers.end([0, 0, 1], 2)
    assert breakers.end([0, 3], 1)
    assert breakers.newest([3, 0, 2, 1, 0, 1]) == 3
    assert breakers.newest([0, 0, 1]) == -1


def test_biases_are_added_and_none_beyond_the_logits(mx: Any) -> None:
    bias = make_biases(mx, {1: 2.5, 3: -math.inf, 9: 1.0})

    assert bias
    assert bias(mx.array([0]), mx.ones((1, 4)))[0].tolist() == [1.0, 3.5, 1.0, -math.inf]
    assert make_biases(mx, {}) is None


def test_penalties_are_those_of_llama_cpp(mx: Any) -> None:
    sampling = Sampling(
        repeat_penalty=2.0, presence_penalty=0.5, frequency_penalty=0.25, repeat_last_n=4
    )
    penalise = make_penalties(mx, sampling)

    assert penalise
    logits = penalise(mx.array([3, 0, 1, 1, 1]), mx.array([[4.0, -4.0, 1.0, 1.0]]))
    assert logits[0].tolist() == [4.0 / 2 - 0.5 - 0.25, -4.0 * 2 - 0.5 - 0.75, 1.0, 1.0]


def test_penalties_that_look_back_on_everything_count_the_prompt_too(mx: Any) -> None:
    penalise = make_penalties(mx, Sampling(presence_penalty=1.0, repeat_last_n=-1))

    assert penalise
    assert penalise(mx.array([2] + [0] * 500), mx.zeros((1, 4)))[0].tolist() == [-1, 0, -1, 0]


def test_what_was_readied_is_not_looked_for_again() -> None:
    asked: list[object] = []

    class Letters:
        def piece(self, token: int) -> bytes:
            asked.append(token)
            return bytes([token + 97])

        def rest(self) -> bytes:
            return b""

    def encode(text: str) -> list[int]:
        asked.append(text)
        return [ord(each) - 97 for each in text]

    vocabulary = Vocabulary(20, [], encode, Letters)
    sampling = Sampling(
        dry_multiplier=1.0, dry_sequence_breakers=("ab",), logit_bias=(("cd", 2.0),)
    )
    vocabulary.prepare(sampling)
    assert set(asked) == {*range(20), "b", "cd"}
    asked.clear()

    assert vocabulary.biases(sampling) == {2: 2.0, 3: 2.0}
    assert vocabulary.breakers(("ab",)).tails == {(1,): {0}}
    assert not asked
