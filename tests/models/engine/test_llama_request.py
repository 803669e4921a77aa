"""What is asked of llama.cpp: each field means there what it means here, or is refused before."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models import gguf
from models.chat import SamplingParams
from models.engine.backend import Decoded, Work
from models.engine.llama import open_llama
from models.engine.llama_request import LlamaRequests
from models.errors import InvalidRequest
from models.model import Kind
from tests.gguf_bytes import TINY, gguf_bytes
from tests.running import POCKET_GGUF, Running, decoded, text_of

CONTEXT = 512
VOCABULARY = 1912  # tokens of pocket
END_OF_TURN = 2  # <|im_end|> of pocket
ONE_TOKEN: dict[str, Any] = {"tokens": (5,), "max_tokens": 1, "sampling": SamplingParams()}
HOT: dict[str, Any] = {"temperature": 1.5, "top_k": 0, "top_p": 1.0}


@pytest.fixture(scope="module")
def no_thread_left_behind() -> None:
    """The child outlives a test."""


@pytest.fixture(scope="module")
def pocket() -> Iterator[Running]:
    running = Running(open_llama, POCKET_GGUF, kind=Kind.LLAMA)
    yield running
    running.close()


@pytest.fixture(scope="module")
def prompt(pocket: Running) -> list[int]:
    tokens = pocket.encode("<|im_start|>user\nSay something.<|im_end|>\n<|im_start|>assistant\n")
    pocket.answer(tokens, 1)  # known from now on: the numbers of a first reading are a little other
    return tokens


def answered(
    pocket: Running, prompt: list[int], max_tokens: int = 20, **sampling: Any
) -> list[Decoded]:
    asked = SamplingParams(**{"temperature": 0.0, "seed": 1} | sampling)
    return decoded(pocket.answer(prompt, max_tokens, sampling=asked))


def drawn(pocket: Running, prompt: list[int], max_tokens: int = 20, **sampling: Any) -> list[int]:
    """Return the tokens whose ids are known: those of some halves of characters are not."""
    outputs = answered(pocket, prompt, max_tokens, **sampling)
    return [each for output in outputs for each in output.ids or ()]


def said(pocket: Running, prompt: list[int], **sampling: Any) -> bytes:
    return b"".join(each.piece for each in answered(pocket, prompt, **sampling))


def body(**changes: Any) -> dict[str, Any]:
    requests = LlamaRequests(POCKET_GGUF, gguf.read_template(POCKET_GGUF), CONTEXT)
    work = Work(**ONE_TOKEN | changes)
    requests.check(work)
    return requests.completion(work)


@pytest.mark.parametrize("seed", [-1, 4294967295, 2**40, 7])
def test_any_seed_repeats_itself(pocket: Running, prompt: list[int], seed: int) -> None:
    first, second = (said(pocket, prompt, seed=seed, **HOT) for _ in range(2))

    assert first == second


def test_seeds_that_would_be_random_or_wrap_are_told_apart(
    pocket: Running, prompt: list[int]
) -> None:
    hotter: dict[str, Any] = HOT | {"temperature": 5.0}
    answers = [said(pocket, prompt, seed=each, **hotter) for each in (-1, 0, 1)]

    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize("tokens", [(-1,), (5, VOCABULARY), (2**40,)])
def test_a_prompt_of_tokens_that_do_not_exist_is_refused(tokens: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match="token numbers that this model does not know"):
        body(tokens=tokens)
    assert body(tokens=(0, VOCABULARY - 1))


@pytest.mark.parametrize("token", [-1, VOCABULARY, 2**40])
def test_a_bias_for_a_token_that_does_not_exist_is_refused(token: int) -> None:
    with pytest.raises(InvalidRequest, match="'logit_bias' names token"):
        body(sampling=SamplingParams(logit_bias=((token, 1.0),)))


def test_a_refused_request_leaves_nothing_behind(pocket: Running, prompt: list[int]) -> None:
    wrong = Work(tokens=(2**40,), max_tokens=1, sampling=SamplingParams())
    with pytest.raises(InvalidRequest):
        pocket.backend.insert({0: wrong})

    assert not pocket.backend.step()
    assert drawn(pocket, prompt)


def test_a_bias_draws_a_token_and_bans_it(pocket: Running, prompt: list[int]) -> None:
    usual = drawn(pocket, prompt)
    (wanted,) = pocket.encode("x")

    assert drawn(pocket, prompt, 3, logit_bias=((wanted, 100.0),)) == [wanted] * 3
    assert drawn(pocket, prompt, 1, logit_bias=((usual[0], -math.inf),)) != usual[:1]


def test_a_bias_for_a_text_holds_for_its_tokens(pocket: Running, prompt: list[int]) -> None:
    (wanted,) = pocket.encode("x")

    assert drawn(pocket, prompt, 3, logit_bias=(("x", 100.0),)) == [wanted] * 3
    drawn(pocket, prompt, 1, logit_bias=(("\ud83d half a character", 1.0),))


def test_the_end_of_a_turn_is_not_drawn_where_that_is_asked(
    pocket: Running, prompt: list[int]
) -> None:
    ended = drawn(pocket, prompt, 200)

    endless = answered(pocket, prompt, 200, ignore_eos=True)

    assert ended[-1] == END_OF_TURN
    assert sum(each.count for each in endless) == 200
    assert all(END_OF_TURN not in (each.ids or ()) for each in endless)


def test_penalties_look_back_on_everything(pocket: Running, prompt: list[int]) -> None:
    def drawn_often(repeat_last_n: int) -> list[int]:
        asked: dict[str, Any] = {"presence_penalty": 100.0, "repeat_last_n": repeat_last_n}
        return drawn(pocket, prompt, 100, ignore_eos=True, **asked)

    near, far = drawn_often(8), drawn_often(-1)

    assert max(Counter(near).values()) > 1
    assert max(Counter(far).values()) == 1
    assert not set(far) & set(prompt)


def test_dry_breaks_a_repetition(pocket: Running) -> None:
    one, two, three = (pocket.encode(each)[0] for each in ("one", "two", "three"))
    prompt = [one, two, three] * 4 + [one, two]
    liked: dict[str, Any] = {"logit_bias": ((three, 60.0),), "dry_allowed_length": 1}

    assert drawn(pocket, prompt, 1, **liked) == [three]
    assert drawn(pocket, prompt, 1, dry_multiplier=50.0, **liked) != [three]
    near = drawn(pocket, prompt, 1, dry_multiplier=50.0, dry_penalty_last_n=0, **liked)
    broken = drawn(pocket, prompt, 1, dry_multiplier=50.0, dry_sequence_breakers=("two",), **liked)
    assert near == broken == [three]


def test_dry_without_breakers_and_with_odd_ones_is_answered(
    pocket: Running, prompt: list[int]
) -> None:
    for breakers in ((), ("",), ("\ud83d",), ("\n",) * 8):
        assert drawn(pocket, prompt, 2, dry_multiplier=0.8, dry_sequence_breakers=breakers)
    with pytest.raises(InvalidRequest, match="at most 8"):
        drawn(pocket, prompt, 2, dry_multiplier=0.8, dry_sequence_breakers=("\n",) * 9)


def test_xtc_and_typical_p_change_what_is_drawn(pocket: Running, prompt: list[int]) -> None:
    usual = said(pocket, prompt, **HOT)

    assert said(pocket, prompt, **HOT) == usual
    assert said(pocket, prompt, xtc_probability=1.0, xtc_threshold=0.01, **HOT) != usual
    assert said(pocket, prompt, typical_p=0.05, **HOT) != usual


def test_greedy_is_the_best_token_whatever_else_is_asked(
    pocket: Running, prompt: list[int]
) -> None:
    usual = drawn(pocket, prompt)
    filters: dict[str, Any] = {
        "xtc_probability": 1.0,
        "xtc_threshold": 0.01,
        "typical_p": 0.05,
        "top_p": 0.1,
    }

    assert drawn(pocket, prompt, **filters) == usual


def test_what_the_server_has_defaults_of_its_own_for_is_always_said() -> None:
    asked = body(sampling=SamplingParams())

    assert asked["min_p"] == 0.0
    assert asked["top_p"] == 0.9
    assert asked["samplers"][-1] == "temperature"


def test_a_file_may_recommend_how_to_draw(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(
        gguf_bytes(
            TINY
            | {
                "general.sampling.temp": 0.25,
                "general.sampling.top_k": 7,
                "general.sampling.penalty_last_n": -1,
                "general.sampling.min_p": math.nan,
                "general.sampling.top_p": "much",
                "tokenizer.ggml.tokens": ["a", "b"],
            }
        )
    )
    requests = LlamaRequests(path, gguf.read_template(path), CONTEXT)

    def asked(**sampling: Any) -> dict[str, Any]:
        work = Work(tokens=(1,), max_tokens=1, sampling=SamplingParams(**sampling))
        return requests.completion(work)

    assert asked()["temperature"] == pytest.approx(0.25)
    assert asked()["top_k"] == 7
    assert asked()["repeat_last_n"] == CONTEXT
    assert (asked()["min_p"], asked()["top_p"]) == (0.0, 0.9)
    assert asked(temperature=1.0)["temperature"] == 1.0


def test_an_answer_has_no_more_tokens_than_were_asked_for(
    pocket: Running, prompt: list[int]
) -> None:
    assert len(drawn(pocket, prompt, 1)) == 1
    assert text_of(pocket.answer(prompt, 1))
