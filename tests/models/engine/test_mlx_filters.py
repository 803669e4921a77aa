"""The filters and draws of the MLX engine, against llama.cpp's semantics written in numpy."""

from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_filters import keep
from models.engine.mlx_sampling import make_sampler
from models.engine.sampling import Sampling

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

OFF = Sampling(temperature=1.0, top_k=0, top_p=1.0)
SHARES = [0.42, 0.25, 0.15, 0.1, 0.05, 0.03]  # of the tokens 0 to 5


@pytest.fixture(name="mx")
def mlx_core() -> Any:
    return import_module("mlx.core")


def normalised(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def llama_keeps(logits: np.ndarray, sampling: Sampling, chance: float = 1.0) -> set[int]:
    """The candidates that are left of llama.cpp's chain (src/llama-sampling.cpp)."""
    left = np.argsort(-logits, kind="stable")
    if sampling.top_k > 0:
        left = left[: sampling.top_k]
    if sampling.typical_p < 1:
        share = np.exp(normalised(logits[left]))
        distance = np.abs(-np.log(share) + (share * np.log(share)).sum())
        order = np.argsort(distance, kind="stable")
        enough = np.cumsum(share[order]) > sampling.typical_p
        count = int(np.argmax(enough)) + 1 if enough.any() else len(left)
        left = left[np.sort(order[:count])]
    if sampling.top_p < 1:
        enough = np.cumsum(np.exp(normalised(logits[left]))) >= sampling.top_p
        left = left[: int(np.argmax(enough)) + 1 if enough.any() else len(left)]
    if sampling.min_p > 0:
        left = left[logits[left] >= logits[left].max() + np.log(sampling.min_p)]
    likely = np.exp(normalised(logits[left])) >= sampling.xtc_threshold
    if chance <= sampling.xtc_probability and sampling.xtc_threshold <= 0.5 and likely.any():
        left = left[likely.sum() - 1 :]
    return {int(each) for each in left}


def kept(mx: Any, logits: np.ndarray, sampling: Sampling, chance: float | None = None) -> set[int]:
    row = mx.array(normalised(logits)[None].astype(np.float32))
    left = keep(mx, row, sampling, None if chance is None else mx.array(chance))
    return {token for token, value in enumerate(left[0].tolist()) if value > -np.inf}


@pytest.mark.parametrize(
    "sampling",
    [
        {"top_k": 5},
        {"top_p": 0.6},
        {"top_p": 0.0},
        {"min_p": 0.1},
        {"min_p": 1.0},
        {"typical_p": 0.3},
        {"typical_p": 0.9},
        {"typical_p": 0.0},
        {"top_k": 20, "typical_p": 0.5, "top_p": 0.7, "min_p": 0.2},
        {"top_k": 1000, "typical_p": 0.8, "min_p": 0.05},
        {"top_k": 12, "xtc_probability": 1.0, "xtc_threshold": 0.1},
        {"typical_p": 0.7, "top_p": 0.9, "xtc_probability": 1.0, "xtc_threshold": 0.02},
    ],
)
def test_every_filter_keeps_what_llama_cpp_keeps(mx: Any, sampling: dict[str, Any]) -> None:
    asked = Sampling(**{"top_k": 0, "top_p": 1.0} | sampling)
    chance = 0.5 if asked.xtc_probability else None
    for seed in range(20):
        logits = np.random.default_rng(seed).normal(scale=3, size=200)

        assert kept(mx, logits, asked, chance) == llama_keeps(logits, asked, chance or 1.0)


def test_a_filter_passes_over_what_a_grammar_has_ruled_out(mx: Any) -> None:
    logits = np.log(np.array(SHARES))
    row = mx.array(np.where(np.arange(6) < 2, -np.inf, logits)[None].astype(np.float32))

    left = keep(mx, row, Sampling(top_k=0, top_p=0.4, typical_p=0.99, min_p=0.1), None)

    assert [token for token, value in enumerate(left[0].tolist()) if value > -np.inf] == [2]


@pytest.mark.parametrize(
    ("probability", "threshold", "left"),
    [
        (1.0, 0.12, {2, 3, 4, 5}),  # of 0, 1 and 2 the last stays
        (1.0, 0.3, {0, 1, 2, 3, 4, 5}),  # one alone is not dropped
        (1.0, 0.51, {0, 1, 2, 3, 4, 5}),
        (0.0, 0.12, {0, 1, 2, 3, 4, 5}),
    ],
)
def test_xtc_leaves_the_least_likely_of_the_likely(
    mx: Any, probability: float, threshold: float, left: set[int]
) -> None:
    row = mx.array(np.log(np.array(SHARES, dtype=np.float32))[None])
    asked = Sampling(
        temperature=1.0, top_k=0, top_p=1.0, xtc_probability=probability, xtc_threshold=threshold
    )
    sampler = make_sampler(mx, asked)

    assert sampler
    assert {sampler(row).item() for _ in range(400)} == left


def test_xtc_is_applied_as_often_as_it_was_asked_for(mx: Any) -> None:
    row = mx.array(np.log(np.array([[0.501, 0.499]], dtype=np.float32)))
    greedy = Sampling(temperature=0.0, top_k=0, top_p=1.0, xtc_probability=0.3)
    sampler = make_sampler(mx, greedy)

    assert sampler
    dropped = sum(sampler(row).item() for _ in range(1000))
    assert 250 < dropped < 350


def test_draws_have_the_shares_of_their_tokens(mx: Any) -> None:
    row = mx.array(np.log(np.array(SHARES, dtype=np.float32))[None])
    sampler = make_sampler(mx, OFF)

    assert sampler
    counts = Counter(sampler(row).item() for _ in range(3000))
    assert [counts[token] / 3000 for token in range(6)] == pytest.approx(SHARES, abs=0.03)


def test_a_draw_belongs_to_its_seed_and_its_place_alone(mx: Any) -> None:
    row = mx.array(np.log(np.array(SHARES, dtype=np.float32))[None])
    seven, eight = (make_sampler(mx, Sampling(temperature=1.0, seed=seed)) for seed in (7, 8))

    assert seven
    assert eight
    first = [seven(row).item() for _ in range(40)]
    assert [seven.at(place, row).item() for place in reversed(range(40))] == first[::-1]
    assert [eight(row).item() for _ in range(40)] != first
    # A neighbouring seed is no later beginning of the same draws, either.
    assert [eight.at(place, row).item() for place in range(39)] != first[1:]


def test_the_smallest_temperature_still_draws_the_best(mx: Any) -> None:
    row = mx.array(np.log(np.array(SHARES[::-1], dtype=np.float32))[None])
    sampler = make_sampler(mx, Sampling(temperature=1e-300, top_k=0, top_p=1.0))

    assert sampler
    assert {sampler(row).item() for _ in range(20)} == {5}


@pytest.mark.parametrize("narrow", [{}, {"top_k": 1}, {"top_p": 0.1}, {"min_p": 1.0}])
def test_greedy_rows_have_no_sampler_of_their_own(mx: Any, narrow: dict[str, Any]) -> None:
    assert make_sampler(mx, Sampling(temperature=0.0, **narrow)) is None
