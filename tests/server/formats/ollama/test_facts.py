"""Ollama's lists of models, as pure functions."""

from datetime import UTC, datetime

import pytest

from models.counts import human_count
from models.model import Profile
from server.capabilities import capabilities
from server.formats.ollama import facts
from server.formats.ollama.show import parameters_text
from tests.fakes import a_model


def test_an_empty_store_is_an_empty_list():
    assert facts.tags_body([]) == {"models": []}


def test_a_model_of_the_list():
    [listed] = facts.tags_body([a_model("Org/Tiny:Q4_K_M")])["models"]

    assert listed == {
        "name": "Org/Tiny:Q4_K_M",
        "model": "Org/Tiny:Q4_K_M",
        "modified_at": "2026-01-02T03:04:05.000000Z",
        "size": 1000,
        "digest": a_model("Org/Tiny:Q4_K_M").digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "scripted",
            "families": ["scripted"],
            "parameter_size": "1K",
            "quantization_level": "F16",
            "context_length": 256,
            "embedding_length": 8,
        },
        "capabilities": capabilities(a_model()),
    }


def test_what_is_set_for_a_model_is_told_in_ollamas_words():
    profile = Profile(
        context_length=8192, max_tokens=5, stop=("a",), sampling={"temperature": 0.5, "top_k": 7}
    )

    assert parameters_text(profile).splitlines() == [
        'stop                           "a"',
        "num_ctx                        8192",
        "num_predict                    5",
        "temperature                    0.5",
        "top_k                          7",
    ]


def test_a_model_that_stays_for_ever_has_a_date_that_clients_can_read():
    far = datetime.now(UTC) + facts.FOR_EVER

    assert far.year > 2300


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (999, "999"),
        (970_368, "970K"),
        (22_566_528, "22.57M"),
        (135_000_000, "135M"),
        (3_212_749_888, "3.2B"),
        (7_000_000_000, "7B"),
    ],
)
def test_parameters_are_counted_as_ollama_counts_them(count, said):
    assert human_count(count) == said
