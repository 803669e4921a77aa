import math

import pytest

from models.chat import SamplingParams
from models.engine.sampling import Sampling, check, resolve
from models.errors import InvalidRequest
from models.sampling_ranges import MOST_BREAKERS

VOCABULARY = 1000


def test_what_is_left_open_is_taken_from_the_model_and_then_from_the_defaults() -> None:
    sampling = resolve(SamplingParams(top_k=7, seed=3), {"temperature": 0.25, "top_k": 99})

    assert sampling == Sampling(top_k=7, temperature=0.25, seed=3)


@pytest.mark.parametrize("token", [-1, VOCABULARY, 2**40])
def test_a_bias_for_a_token_that_does_not_exist_is_refused(token: int) -> None:
    with pytest.raises(InvalidRequest, match=f"'logit_bias' names token {token}, .* 999") as caught:
        check(Sampling(logit_bias=((5, 1.0), (token, 1.0))), VOCABULARY)

    assert caught.value.field == "logit_bias"


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        (Sampling(logit_bias=((1, math.nan),)), "logit_bias"),
        (Sampling(logit_bias=((1, math.inf),)), "logit_bias"),
        (Sampling(logit_bias=((1, 1e300),)), "logit_bias"),
        (Sampling(logit_bias=tuple((1, 1.0) for _ in range(1025))), "logit_bias"),
        (Sampling(logit_bias=(("a" * 257, 1.0),)), "logit_bias"),
        (Sampling(temperature=math.nan), "temperature"),
        (Sampling(xtc_threshold=math.inf), "xtc_threshold"),
        (Sampling(repeat_penalty=0), "repeat_penalty"),
        (Sampling(dry_multiplier=-1), "dry_multiplier"),
        (Sampling(dry_sequence_breakers=("a",) * (MOST_BREAKERS + 1)), "dry_sequence_breakers"),
        (Sampling(dry_sequence_breakers=("a" * 41,)), "dry_sequence_breakers"),
    ],
)
def test_what_no_engine_can_do_is_refused_by_its_name(sampling: Sampling, field: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^'{field}' .*\.$") as caught:
        check(sampling, VOCABULARY)

    assert caught.value.field == field


def test_a_ban_and_the_largest_lists_pass() -> None:
    check(
        Sampling(
            logit_bias=((0, -math.inf), ("Hello", -100.0), (VOCABULARY - 1, 100.0)),
            dry_sequence_breakers=("\n",) * MOST_BREAKERS,
        ),
        VOCABULARY,
    )
