"""Log-probabilities from llama.cpp: of answers and prompts, to the last byte of an emoji."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from models.chat import SamplingParams
from models.engine.backend import Output, Prefilled, Prefilling, Work
from models.engine.fragments import Fragments
from models.engine.llama import open_llama
from models.engine.llama_client import LlamaClient
from models.engine.llama_process import LlamaProcess
from models.events import FinishReason, TokenLogprob
from models.model import Kind
from tests.conftest import TESTDATA
from tests.running import GREEDY, POCKET_GGUF, Running, decoded, ids_of, logprobs_of

TINYCHAT = TESTDATA / "models/tinychat/tinychat-1m-F16.gguf"
TEXTS = (
    "The capital of France is Paris, and it is the largest city there.",
    "Hello 🙂 world, 你好! 🎉🎉 und Grüße.",
    "<|im_start|>user\nWhat is 🙂?<|im_end|>\n<|im_start|>assistant\nA smile: 笑",
)
# So hot that single bytes come, and whole characters of several tokens.
# Of a prompt that llama.cpp reads in one go and another that it reads token by token.
ROUNDING = 0.02
BABBLING = {"temperature": 3.0, "top_k": 0, "top_p": 1.0}


@pytest.fixture(scope="module")
def no_thread_left_behind() -> None:
    """The child outlives a test."""


@pytest.fixture(scope="module", params=["pocket", "tinychat"])
def path(request: pytest.FixtureRequest) -> Path:
    found = POCKET_GGUF if request.param == "pocket" else TINYCHAT
    if not found.is_file():
        pytest.skip("There is no test data")
    return found


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[Running]:
    running = Running(open_llama, path, kind=Kind.LLAMA)
    yield running
    running.close()


@pytest.fixture(scope="module")
def bare(path: Path) -> Iterator["Bare"]:
    child = Bare(path)
    yield child
    child.process.close()


class Bare:
    """A child that is asked for one whole distribution after another."""

    def __init__(self, path: Path) -> None:
        ready = threading.Event()
        config = {
            "model": str(path),
            "context_length": 2048,
            "max_sequences": 1,
            "shared_tokens": None,
            "prompt_cache_bytes": 0,
        }
        self.process = LlamaProcess(config, model_name=path.stem, on_change=ready.set)
        while not self.process.ready():
            assert ready.wait(30)
            ready.clear()

    def distribution(self, before: Sequence[int]) -> dict[int, float]:
        """Log-probabilities of the whole vocabulary."""
        body = {
            "prompt": before,
            "n_predict": 1,
            "n_probs": 1_000_000,
            "logit_bias": [["a", 1e6]],
            "temperature": 0,
        }
        with closing(LlamaClient(self.process, timeout_seconds=60)) as client:
            client.connect()
            answer = json.load(client.post("/completion", body))
        (entry,) = answer["completion_probabilities"]
        return {each["id"]: each["logprob"] for each in entry["top_logprobs"]}

    def step_by_step(self, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of the tokens, the first of which has nothing before it."""
        places = range(1, len(tokens))
        return [0.0, *(self.distribution(tokens[:place])[tokens[place]] for place in places)]


def echo_of(outputs: Sequence[Output]) -> tuple[TokenLogprob, ...]:
    (prefilled,) = [each for each in outputs if isinstance(each, Prefilled)]
    return prefilled.logprobs


def babble(model: Running, prompt: list[int], max_tokens: int = 60, **asked: Any) -> list[Output]:
    """An answer in which characters of several tokens are written whole."""
    for seed in range(50):
        sampling = SamplingParams(seed=seed, **BABBLING, ignore_eos=True)
        outputs = model.answer(prompt, max_tokens, sampling=sampling, **asked)
        if any(each.count > 1 and each.ids for each in decoded(outputs)):
            return outputs
    raise AssertionError("it never did")


# -- Answers -----------------------------------------------------------------------


def test_nothing_is_told_that_was_not_asked_for(model: Running) -> None:
    outputs = model.answer(model.encode(TEXTS[0]))

    assert not logprobs_of(outputs)
    assert echo_of(outputs) == ()


def test_each_token_of_an_answer_has_its_own(model: Running, bare: Bare) -> None:
    prompt = model.encode(TEXTS[0])
    outputs = model.answer(prompt, 30, top_logprobs=3)

    ids, told = ids_of(outputs), logprobs_of(outputs)
    whole = bare.step_by_step([*prompt, *ids])[len(prompt) :]

    assert [each.id for each in told] == ids
    assert [each.logprob for each in told] == pytest.approx(whole, abs=ROUNDING)
    for each in told:
        assert len(each.top) == 3
        assert each.logprob == each.top[0].logprob, "greedy"
        assert sorted((one.logprob for one in each.top), reverse=True) == [
            one.logprob for one in each.top
        ]


def test_it_is_the_models_own_whatever_else_decides(model: Running) -> None:
    prompt = model.encode(TEXTS[0])
    plain = logprobs_of(model.answer(prompt, 1, top_logprobs=5))

    sampling = SamplingParams(temperature=0.0, logit_bias=((plain[0].top[2].id, 100.0),))
    (biased,) = logprobs_of(model.answer(prompt, 1, sampling=sampling, top_logprobs=0))

    assert biased == TokenLogprob(*astuple(plain[0].top[2]))


def astuple(token: TokenLogprob) -> tuple[int, bytes, float]:
    return token.id, token.piece, pytest.approx(token.logprob, abs=1e-5)  # pyright: ignore


def test_the_end_of_a_turn_has_one_without_text(model: Running) -> None:
    prompt = model.encode(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    outputs = model.answer(prompt, 200, top_logprobs=0)

    assert decoded(outputs)[-1].finish is FinishReason.END_OF_TURN
    assert logprobs_of(outputs)[-1].piece == b""
    assert logprobs_of(outputs)[-1].id == ids_of(outputs)[-1]


def test_a_character_of_several_tokens_has_them_all(model: Running, bare: Bare) -> None:
    prompt = model.encode(TEXTS[2])
    outputs = babble(model, prompt, top_logprobs=1)

    for each in decoded(outputs):
        if each.count == 1 or not each.ids:
            continue
        assert [one.id for one in each.logprobs] == list(each.ids)
        assert b"".join(one.piece for one in each.logprobs) == each.piece
        assert all(one.piece for one in each.logprobs)
    known = [each for each in decoded(outputs) if each.ids is not None]
    if len(known) == len(decoded(outputs)):
        tokens = [*prompt, *ids_of(outputs)]
        whole = bare.step_by_step(tokens)[len(prompt) :]
        assert [each.logprob for each in logprobs_of(outputs)] == pytest.approx(whole, abs=ROUNDING)


def test_the_ids_of_a_character_are_told_without_log_probabilities_too(model: Running) -> None:
    outputs = babble(model, model.encode(TEXTS[2]))

    for each in decoded(outputs):
        if each.ids:
            assert len(each.ids) == each.count


def test_where_there_is_no_room_to_ask_one_stands_for_the_whole_character() -> None:
    running = Running(open_llama, POCKET_GGUF, kind=Kind.LLAMA, shared_tokens=2048)
    try:
        prompt = running.encode(TEXTS[0]) * 30
        several = [
            each
            for each in decoded(babble(running, prompt, top_logprobs=0, max_tokens=1_000))
            if each.count > 1 and each.ids
        ]
    finally:
        running.close()

    for each in several:
        (whole,) = each.logprobs
        assert each.ids
        assert (whole.id, whole.piece) == (each.ids[-1], each.piece)


# -- Prompts -----------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_a_prompts_own_equal_those_found_step_by_step(
    model: Running, bare: Bare, text: str
) -> None:
    prompt = model.encode(text)

    told = echo_of(model.answer(prompt, 1, prompt_logprobs=True, top_logprobs=2))

    assert [each.id for each in told] == prompt
    assert [each.logprob for each in told] == pytest.approx(bare.step_by_step(prompt), abs=1e-3)
    said = text.replace("<|im_start|>", "").replace("<|im_end|>", "")
    assert b"".join(each.piece for each in told).decode() == said
    assert told[0].top == ()
    for place, each in enumerate(told[1:], 1):
        likely = bare.distribution(prompt[:place])
        assert [likely[one.id] for one in each.top] == pytest.approx(
            sorted(likely.values(), reverse=True)[:2], abs=1e-3
        )


def test_the_answer_goes_on_from_a_prompt_that_was_read_like_that(model: Running) -> None:
    prompt = model.encode(TEXTS[1])
    usual = ids_of(model.answer(prompt))

    outputs = model.answer(prompt, prompt_logprobs=True)

    assert ids_of(outputs) == usual
    assert not logprobs_of(outputs)
    assert all(each.top == () for each in echo_of(outputs))


def test_a_prompt_of_one_token_has_nothing_before_it(model: Running) -> None:
    (token,) = model.encode("a")

    (only,) = echo_of(model.answer([token], 1, prompt_logprobs=True))

    assert only == TokenLogprob(token, b"a", 0.0)


def test_a_long_prompt_tells_how_far_it_is(model: Running) -> None:
    prompt = model.encode(TEXTS[0]) * 40
    work = Work(tokens=tuple(prompt), max_tokens=1, sampling=GREEDY, prompt_logprobs=True)
    (whole,) = model.run(work)

    done = [each.done_tokens for each in whole if isinstance(each, Prefilling)]
    assert done == sorted(done)
    assert len(done) > len(prompt) / 100
    assert len(echo_of(whole)) == len(prompt)


def test_who_leaves_while_the_prompt_is_read_frees_the_child(model: Running) -> None:
    prompt = model.encode(TEXTS[1]) * 60
    work = Work(tokens=tuple(prompt), max_tokens=1, sampling=GREEDY, prompt_logprobs=True)
    others = {each: work for each in range(1_000, 1_004)}  # as many as run side by side
    model.backend.insert(others)
    told: list[Output] = []
    while not any(isinstance(each, Prefilling) for each in told):
        told += model.backend.step()
    for ticket in others:
        model.backend.remove(ticket)

    start = time.monotonic()
    assert decoded(model.answer(model.encode(TEXTS[0]), 1))
    assert time.monotonic() - start < 2


# -- Characters in parts -----------------------------------------------------------

VOCABULARY = [b"a", "ðŁ".encode(), "Ļ".encode(), "Ĥ".encode(), "ðŁĻ".encode(), "ĠðŁ".encode()]


def test_ids_are_found_again_by_their_bytes() -> None:
    fragments = Fragments(VOCABULARY, "gpt2")
    smile = "🙂".encode()

    assert fragments.ids(smile, last=3, count=3) == (1, 2, 3)
    assert fragments.ids(smile, last=3, count=2) == (4, 3)
    assert fragments.ids(b" " + smile, last=3, count=3) == (5, 2, 3)
    assert fragments.ids(smile[:2] + b"a", last=0, count=2) == (1, 0)
    assert fragments.ids(smile, last=2, count=3) is None
    assert fragments.ids(smile, last=3, count=4) is None


def test_a_vocabulary_may_have_a_token_for_each_byte() -> None:
    fragments = Fragments([b"a", *(f"<0x{byte:02X}>".encode() for byte in range(256))], "llama")

    assert fragments.ids("你".encode(), last=1 + 0xA0, count=3) == (1 + 0xE4, 1 + 0xBD, 1 + 0xA0)
