"""Log-probabilities of prompts on MLX: equal to reading them step by step, for every kind."""

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from models.engine.backend import Decoded, Prefilled
from models.engine.installed import has_mlx
from models.engine.mlx_echo import Echo
from tests.models.engine.mlx_models import CHUNK, KINDS, VOCABULARY, Machine, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

PROMPT = [(place * 37 + place * place) % VOCABULARY for place in range(3 * CHUNK + 5)]

model_of = cache(make_model)


def step_by_step(kind: str, tokens: list[int]) -> np.ndarray:
    """The log-probabilities (tokens, vocabulary) of what comes behind each token."""
    mx = import_module("mlx.core")
    model = model_of(kind)
    layers = import_module("mlx_lm.models.cache").make_prompt_cache(model)
    rows: list[Any] = []
    for token in tokens:
        logits = model(mx.array([[token]]), cache=layers)[0].astype(mx.float32)
        rows.append(np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True)))
    return np.concatenate(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompts_logprobs_are_those_of_reading_it_step_by_step(kind: str) -> None:
    machine = Machine(model_of(kind))

    machine.answer(PROMPT, echo=True)

    first, *others = machine.echoed()
    assert (first.id, first.logprob, first.top) == (PROMPT[0], 0.0, ())
    assert [each.id for each in others] == PROMPT[1:]
    for entry, row in zip(others, step_by_step(kind, PROMPT[:-1]), strict=True):
        assert entry.logprob == pytest.approx(float(row[entry.id]), abs=1e-4)
        likeliest = np.sort(row)[::-1][:3]
        assert [each.logprob for each in entry.top] == pytest.approx(likeliest.tolist(), abs=1e-4)
        assert [float(row[each.id]) for each in entry.top] == pytest.approx(
            likeliest.tolist(), abs=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_the_same_with_an_echo(kind: str) -> None:
    plain = Machine(model_of(kind)).answer(PROMPT, 12)

    assert Machine(model_of(kind)).answer(PROMPT, 12, echo=True) == plain


def test_a_prompt_that_is_known_already_is_read_for_its_echo_all_the_same() -> None:
    machine = Machine(model_of("llama"))
    machine.answer(PROMPT, echo=True)
    first = machine.echoed()

    machine.answer(PROMPT, echo=True)

    assert machine.cached() == 0
    assert machine.echoed() == first
    machine.answer(PROMPT)
    assert machine.cached() == len(PROMPT) - 1  # what an echo has read is kept for others


def test_a_prompt_of_one_token_has_nothing_before_it() -> None:
    machine = Machine(model_of("llama"))

    machine.answer([7], echo=True)

    assert [(each.id, each.logprob) for each in machine.echoed()] == [(7, 0.0)]


def test_each_of_a_group_has_the_echo_also_where_it_comes_later() -> None:
    machine = Machine(model_of("llama"), most_rows=2)

    machine.start(1, PROMPT, seeds=(1, 2, 3), echo=True)
    machine.run()

    assert len(machine.echoed(1)) == len(PROMPT)
    assert machine.echoed(1) == machine.echoed(2) == machine.echoed(3)


def test_others_get_a_token_between_two_chunks_of_an_echo() -> None:
    machine = Machine(model_of("llama"))
    machine.start(1, PROMPT[:9], 40)
    machine.run(until=lambda _: bool(machine.said(1)))
    machine.start(2, PROMPT, echo=True)
    machine.run(
        until=lambda outputs: any(
            isinstance(each, Prefilled) and each.ticket == 2 for each in outputs
        )
    )

    said = [each.ticket for each in machine.outputs if isinstance(each, Decoded)]
    assert said.count(1) > len(PROMPT) // CHUNK


@pytest.mark.parametrize(
    ("vocabulary", "tokens"), [(152_000, 64), (49_000, 256), (512, 32768), (1 << 40, 1)]
)
def test_a_large_vocabulary_is_read_in_smaller_chunks(vocabulary: int, tokens: int) -> None:
    echo = Echo(
        import_module("mlx.core"), [1, 2], 0, piece=lambda _: b"", vocabulary_size=vocabulary
    )

    assert echo.most_tokens == tokens


def test_smaller_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(model_of("llama"))
    machine.answer(PROMPT, echo=True)
    whole = machine.echoed()
    monkeypatch.setattr("models.engine.mlx_echo._MOST_BYTES", VOCABULARY * 4 * 9)

    machine.answer(PROMPT, echo=True)

    assert [each.id for each in machine.echoed()] == [each.id for each in whole]
    assert [each.logprob for each in machine.echoed()] == pytest.approx(
        [each.logprob for each in whole], abs=1e-4
    )
