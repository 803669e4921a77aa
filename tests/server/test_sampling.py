"""The sampling fields, as every family reads them."""

from typing import Any

import pytest

from models.chat import SamplingParams
from models.errors import InvalidRequest
from models.sampling_ranges import RANGES
from server.fields import Fields
from server.sampling import read_sampling


def read(**body: Any) -> SamplingParams:
    fields = Fields(body)
    sampling = read_sampling(fields)
    assert fields.ignored() == []
    return sampling


def test_what_is_not_said_is_left_open() -> None:
    assert read() == SamplingParams()
    assert read(**dict.fromkeys(RANGES), dry_sequence_breakers=None) == SamplingParams()


def test_everything_that_llama_cpp_knows_is_read_under_its_names() -> None:
    numbers: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "typical_p": 0.8,
        "seed": 3,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "presence_penalty": -0.2,
        "frequency_penalty": 0.3,
        "xtc_probability": 0.4,
        "xtc_threshold": 0.2,
        "dry_multiplier": 0.8,
        "dry_base": 1.5,
        "dry_allowed_length": 3,
        "dry_penalty_last_n": 64,
    }
    assert set(numbers) == set(RANGES)

    sampling = read(**numbers, dry_sequence_breakers=["\n", "", "###"], ignore_eos=True)

    assert sampling == SamplingParams(
        **numbers, dry_sequence_breakers=("\n", "###"), ignore_eos=True
    )


def test_minus_one_is_everybodys_word_for_all_or_any() -> None:
    sampling = read(top_k=-1, seed=-1, repeat_last_n=-1, dry_penalty_last_n=-1)

    assert (sampling.top_k, sampling.seed, sampling.dry_penalty_last_n) == (0, None, -1)
    assert sampling.repeat_last_n is not None
    assert sampling.repeat_last_n >= 1 << 18


def test_no_breakers_are_not_the_usual_ones() -> None:
    assert read(dry_sequence_breakers=[]).dry_sequence_breakers == ()
    assert read(dry_sequence_breakers="\n").dry_sequence_breakers == ("\n",)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"xtc_probability": 1.5}, '"xtc_probability" must be at most 1.'),
        ({"xtc_threshold": -1}, '"xtc_threshold" must be at least 0.'),
        ({"dry_multiplier": -1}, '"dry_multiplier" must be at least 0.'),
        ({"dry_base": 0.5}, '"dry_base" must be at least 1.'),
        ({"dry_allowed_length": 1.5}, '"dry_allowed_length" must be a whole number, not a number.'),
        ({"dry_penalty_last_n": -2}, '"dry_penalty_last_n" must be at least -1.'),
        ({"ignore_eos": 1}, '"ignore_eos" must be true or false, not a number.'),
        ({"repeat_last_n": -2}, '"repeat_last_n" must be at least -1.'),
        (
            {"dry_sequence_breakers": list("abcdefghi")},
            '"dry_sequence_breakers" may have at most 8 texts of 40 bytes.',
        ),
        (
            {"dry_sequence_breakers": ["x" * 41]},
            '"dry_sequence_breakers" may have at most 8 texts of 40 bytes.',
        ),
    ],
)
def test_a_number_that_makes_no_sense_is_named(body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**body)

    assert str(refused.value) == sentence
