"""Sampling fields and log-probabilities through the MLX backend, with a real model."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.chat import SamplingParams
from models.engine.backend import Decoded, Work
from models.engine.installed import has_mlx
from models.engine.mlx_dry import runs
from models.engine.mlx_library import end_thread
from models.errors import InvalidRequest
from models.events import FinishReason, TokenLogprob
from tests.models.engine.test_mlx import Driver, ids_of, text_of

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

POCKET = Path(__file__).resolve().parents[3] / "resources/pocket/mlx"
NONSENSE = list(range(100, 140, 3))  # what comes after it is open
QUESTION = "What is the capital of France?"
# Draws far from certain: what a neighbour could change would show.
WARM: dict[str, Any] = {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "seed": 11}


@pytest.fixture(scope="module", name="thread")
def engine_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, "engine-mlx") as thread:
        thread.submit(int).result()
        yield thread
        thread.submit(end_thread).result()


@pytest.fixture(scope="module", name="driver")
def pocket_driver(thread: ThreadPoolExecutor) -> Iterator[Driver]:
    driver = Driver(thread, POCKET, max_sequences=8)
    yield driver
    driver.call(driver.backend.close)


def start(
    driver: Driver, ticket: int, tokens: list[int], *, top: int | None, **sampling: Any
) -> None:
    sampling = {"temperature": 0.0} | sampling
    work = Work(
        tokens=tuple(tokens),
        max_tokens=20,
        sampling=SamplingParams(**sampling),
        top_logprobs=top,
    )
    driver.call(driver.backend.insert, {ticket: work})


def logprobs_of(outputs: list[Any], ticket: int) -> list[TokenLogprob]:
    return [
        each
        for output in outputs
        if isinstance(output, Decoded) and output.ticket == ticket
        for each in output.logprobs
    ]


def full_pass(thread: ThreadPoolExecutor, tokens: list[int]) -> np.ndarray:
    """Return the log-probabilities (tokens, vocabulary) of what comes after each token."""

    def run() -> np.ndarray:
        mx = import_module("mlx.core")
        model, _ = import_module("mlx_lm.utils").load_model(POCKET)
        model.set_dtype(mx.float32)
        logits = model(mx.array([tokens]))[0]
        return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))

    return thread.submit(run).result()


# -- Sampling ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling",
    [
        {"typical_p": 0.9},
        {"xtc_probability": 0.5, "xtc_threshold": 0.05},
        {"dry_multiplier": 0.8, "dry_allowed_length": 1},
        {"logit_bias": ((5, 3.0),), "repeat_penalty": 1.2, "repeat_last_n": -1},
        {"top_k": 30, "top_p": 0.95, "min_p": 0.02, "ignore_eos": True},
    ],
)
def test_a_seed_gives_the_same_tokens_whatever_the_neighbours(
    driver: Driver, sampling: dict[str, Any]
) -> None:
    alone = ids_of(driver.answer(NONSENSE, max_tokens=30, **WARM | sampling), 99)
    other = ids_of(driver.answer(NONSENSE, max_tokens=30, **WARM | sampling | {"seed": 12}), 99)

    driver.start(1, "Tell me a story about a fox.", **WARM | {"seed": 3})
    driver.steps(until=lambda outputs: len(ids_of(outputs, 1)) > 2)
    driver.start(2, "Hello!", dry_multiplier=1.0)
    driver.start(3, NONSENSE, max_tokens=30, **WARM | sampling)
    driver.start(4, QUESTION, xtc_probability=1.0, **WARM)

    assert ids_of(driver.steps(), 3) == alone != other


def test_a_bias_of_100_forces_a_token_and_one_of_minus_100_bans_it(driver: Driver) -> None:
    (first, second, *_) = ids_of(driver.answer(QUESTION), 99)

    forced = ids_of(driver.answer(QUESTION, max_tokens=5, logit_bias=((second, 100.0),)), 99)
    banned = ids_of(driver.answer(QUESTION, logit_bias=((first, -100.0),)), 99)

    assert forced == [second] * 5
    assert banned
    assert first not in banned


def test_a_bias_on_a_text_is_one_on_each_of_its_tokens(driver: Driver) -> None:
    text = text_of(driver.answer(QUESTION))

    answer = driver.answer(QUESTION, logit_bias=((text, -100.0),))

    assert not set(driver.backend.prompter.tokenizer.encode(text)) & set(ids_of(answer, 99))


@pytest.mark.parametrize("token", [-1, 2**40, 10**7])
def test_a_bias_for_a_token_that_does_not_exist_stops_nobody_else(
    driver: Driver, token: int
) -> None:
    driver.start(1, QUESTION)

    with pytest.raises(InvalidRequest, match="'logit_bias' names token"):
        driver.start(2, QUESTION, logit_bias=((token, 1.0),))

    assert "Paris" in text_of(driver.steps(), 1)


def test_the_end_of_a_turn_is_never_drawn_where_it_is_to_be_ignored(driver: Driver) -> None:
    ended = driver.answer(QUESTION, max_tokens=60)[-1]
    ignored = driver.answer(QUESTION, max_tokens=60, ignore_eos=True)

    assert isinstance(ended, Decoded)
    assert ended.finish is FinishReason.END_OF_TURN
    assert len(ids_of(ignored, 99)) == 60
    assert ended.ids
    assert ended.ids[0] not in ids_of(ignored, 99)


def test_dry_ends_a_repetition(driver: Driver) -> None:
    wordy: dict[str, Any] = {"max_tokens": 30, "logit_bias": ((5, 40.0),)}

    plain = ids_of(driver.answer(QUESTION, **wordy), 99)
    dry = ids_of(driver.answer(QUESTION, dry_multiplier=5.0, **wordy), 99)

    assert plain == [5] * 30
    assert dry[:4] == [5] * 4
    assert max(runs(dry)) < 8


# -- Log-probabilities -------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        WARM,
        {"logit_bias": ((5, 9.0),), "repeat_penalty": 1.5, "dry_multiplier": 1.0},
        WARM | {"typical_p": 0.5, "presence_penalty": 1.0, "ignore_eos": True},
    ],
)
def test_logprobs_are_those_of_the_model_itself(
    driver: Driver, thread: ThreadPoolExecutor, sampling: dict[str, Any]
) -> None:
    prompt = driver.tokens_of(QUESTION)
    driver.start(1, "Tell me a story about a fox.")
    start(driver, 2, prompt, top=5, **sampling)
    outputs = driver.steps()
    ids, entries = ids_of(outputs, 2), logprobs_of(outputs, 2)

    wanted = full_pass(thread, prompt + ids)[len(prompt) - 1 : -1]

    assert [each.id for each in entries] == ids
    for entry, row in zip(entries, wanted, strict=True):
        assert entry.logprob == pytest.approx(float(row[entry.id]), abs=1e-4)
        likeliest = np.argsort(-row)[:5]
        assert [each.id for each in entry.top] == likeliest.tolist()
        assert [each.logprob for each in entry.top] == pytest.approx(
            row[likeliest].tolist(), abs=1e-4
        )
        assert not any(each.top for each in entry.top)
    assert not logprobs_of(outputs, 1)


def test_without_a_top_there_is_the_drawn_token_alone(driver: Driver) -> None:
    start(driver, 1, driver.tokens_of(QUESTION), top=0)
    entries = logprobs_of(driver.steps(), 1)

    assert entries
    assert not any(each.top for each in entries)


def test_the_end_of_a_turn_has_an_entry_without_bytes_and_the_others_spell_the_text(
    driver: Driver,
) -> None:
    start(driver, 1, driver.tokens_of(QUESTION), top=2)
    outputs = driver.steps()
    entries = logprobs_of(outputs, 1)

    assert b"".join(each.piece for each in entries).decode() == text_of(outputs, 1)
    assert entries[-1].piece == b""
    assert entries[-1].id == ids_of(outputs, 1)[-1]
    assert all(each.piece for each in entries[:-1])


def test_a_drawn_token_outside_the_top_has_its_own_entry(driver: Driver) -> None:
    start(driver, 1, driver.tokens_of(QUESTION), top=1, logit_bias=((7, 100.0),))
    entry = logprobs_of(driver.steps(), 1)[0]

    assert entry.id == 7
    assert [each.id for each in entry.top] != [7]
    assert entry.logprob < entry.top[0].logprob


def test_all_logprobs_of_a_place_make_one(driver: Driver) -> None:
    start(driver, 1, driver.tokens_of(QUESTION), top=10**6)
    entry = logprobs_of(driver.steps(), 1)[0]

    assert sum(np.exp([each.logprob for each in entry.top])) == pytest.approx(1, abs=1e-4)
