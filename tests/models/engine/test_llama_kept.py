"""What a llama.cpp child keeps of earlier prompts, as ``ps`` tells it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.engine.backend import LoadSpec
from models.engine.llama_kept import Kept
from tests.fakes import a_model, a_spec
from tests.models.engine.test_llama_sharing import IN_ORDER, Driver, a_work, open_driver

__all__ = ["open_driver"]  # a fixture

TOKEN_BYTES = 1024


def a_kept(*, slots: int, beside_tokens: int) -> Kept:
    model = a_model("pocket", context_length=4096, kv_bytes_per_token=TOKEN_BYTES)
    spec: LoadSpec = a_spec(model, context_length=4096, max_sequences=slots)
    return Kept(replace(spec, prompt_cache_bytes=beside_tokens * TOKEN_BYTES))


def tokens_of(kept: Kept) -> float:
    return kept.counters(0).prompt_cache_bytes / TOKEN_BYTES


def end(kept: Kept, first: int, count: int) -> None:
    kept.ended(range(first, first + count), count)


@pytest.mark.parametrize("shared_tokens", [None, 2048])
def test_what_is_kept_of_a_prompt_is_told_in_bytes_and_not_twice_when_the_chat_goes_on(
    open_driver: Callable[..., Driver], shared_tokens: int | None
):
    driver = open_driver(shared_tokens)

    def kept_tokens() -> float:
        return driver.backend.counters.prompt_cache_bytes / TOKEN_BYTES

    assert kept_tokens() == 0
    driver.run(a_work(prompt=100, most=20))
    assert kept_tokens() == 120
    driver.run(a_work(prompt=200, most=20))  # it begins like the other
    assert kept_tokens() == 220
    driver.run(a_work(prompt=50, most=10, salt=1))
    assert kept_tokens() == 280
    counters = driver.backend.counters
    assert (counters.prompt_cache_hits, counters.prompt_cache_misses) == (1, 2)


def test_tokens_of_which_llama_cpp_does_not_tell_the_ids_are_counted_as_they_are(
    open_driver: Callable[..., Driver],
):
    driver = open_driver(None)
    half, _ = driver.backend.prompter.tokenizer.encode("é")
    sampling = replace(IN_ORDER, logit_bias=((half, 1e6), ("a", 1e6 - 1e3)))

    driver.run(a_work(prompt=100, most=20, sampling=sampling))

    assert any(each.ids is None for each in driver.decoded(1))
    assert driver.backend.counters.prompt_cache_bytes == 120 * TOKEN_BYTES


def test_what_a_sequence_reads_on_from_is_in_use_and_not_kept():
    kept = a_kept(slots=2, beside_tokens=0)
    end(kept, 0, 100)

    kept.read(range(150), 100)
    assert tokens_of(kept) == 0
    end(kept, 0, 150)

    assert tokens_of(kept) == 150


def test_beside_the_slots_no_more_is_kept_than_was_planned_and_the_oldest_goes_first():
    kept = a_kept(slots=2, beside_tokens=300)
    for place in range(5):
        end(kept, 1000 * place, 100)
    assert tokens_of(kept) == 500

    end(kept, 9000, 70)

    assert tokens_of(kept) == 470


def test_the_beginning_of_what_is_kept_is_not_kept_beside_it():
    kept = a_kept(slots=2, beside_tokens=300)
    end(kept, 0, 100)
    end(kept, 0, 60)

    assert tokens_of(kept) == 100
