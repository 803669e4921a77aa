"""Drafts that are looked up in the text: the text is that of plain decoding, in fewer passes."""

from functools import cache
from importlib import import_module
from typing import Any

import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_lookup import Drafting, Gate, Lookup, Watch
from models.engine.mlx_sampling import make_sampler
from models.engine.sampling import Sampling
from tests.models.engine.mlx_models import VOCABULARY, Machine, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

PASSAGE = [(place * 29) % VOCABULARY for place in range(40)]
PROMPT = PASSAGE * 3

model_of = cache(make_model)


class Counted:
    """A model, and how many passes were made with it."""

    def __init__(self, kind: str) -> None:
        self.passes = 0
        self._model = model_of(kind)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.passes += 1
        return self._model(*arguments, **options)


def drafting_of(model: Counted, prompt: list[int], sampling: Sampling) -> Drafting:
    mx = import_module("mlx.core")
    layers = import_module("mlx_lm.models.cache").make_prompt_cache(model_of("llama"))
    model(mx.array([prompt[:-1]]), cache=layers)
    model.passes = 0
    return Drafting(mx, model, layers, Watch(prompt), make_sampler(mx, sampling))


def run(drafting: Drafting, count: int, stop_tokens: tuple[int, ...] = ()) -> list[int]:
    said: list[int] = []
    while len(said) < count and not set(said) & set(stop_tokens):
        tokens = drafting.step(count - len(said), stop_tokens)
        for token in tokens:
            drafting.watch(token)
        said += tokens
    return said


GREEDY = Sampling(temperature=0.0)


def test_greedy_text_is_that_of_plain_decoding_in_fewer_passes() -> None:
    model = Counted("llama")
    plain = Machine(model_of("llama")).answer(PROMPT, 120)

    assert run(drafting_of(model, PROMPT, GREEDY), 120) == plain
    assert model.passes < 90


class Guess(Lookup):
    """Knows what will be said, and is wrong in every fifth token."""

    def __init__(self, said: list[int]) -> None:
        super().__init__(PROMPT)
        self._said = said

    def draft(self, most: int) -> list[int]:
        place = len(self.tokens) - len(PROMPT)
        return [
            (token + ((place + ahead) % 5 == 4)) % VOCABULARY
            for ahead, token in enumerate(self._said[place : place + most])
        ]


@pytest.mark.parametrize("seed", range(4))
def test_drawn_text_is_that_of_plain_decoding(seed: int) -> None:
    model = Counted("llama")
    plain = Machine(model_of("llama")).answer(PROMPT, 60, seeds=(seed,))
    drafting = drafting_of(model, PROMPT, Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed))
    drafting.watch.lookup = Guess(plain)

    assert run(drafting, 60) == plain
    assert model.passes == 12


def test_never_more_tokens_than_are_asked_for_and_none_behind_the_end() -> None:
    plain = Machine(model_of("llama")).answer(PROMPT, 40)
    drafting = drafting_of(Counted("llama"), PROMPT, GREEDY)
    assert len(drafting.step(1, ())) == 1

    end = plain[20]
    ended = run(drafting_of(Counted("llama"), PROMPT, GREEDY), 40, (end,))

    assert ended == plain[: plain.index(end) + 1]


def test_its_layers_hold_all_tokens_but_the_last_and_a_batch_goes_on_from_them() -> None:
    machine = Machine(model_of("llama"))
    plain = machine.answer(PROMPT, 40)
    drafting = drafting_of(Counted("llama"), PROMPT, GREEDY)
    begun = run(drafting, 15)

    assert all(layer.offset == len(PROMPT) + 14 for layer in drafting.layers)
    assert drafting.tokens == PROMPT + begun
    batch = import_module("mlx_lm.generate").BatchGenerator(model_of("llama"))
    batch.insert(
        [drafting.tokens[-1:]],
        [25],
        caches=[drafting.layers],
        all_tokens=[drafting.tokens[:-1]],
    )
    rest = [batch.next_generated()[0].token for _ in range(25)]
    assert begun + rest == plain


def test_a_draft_is_what_followed_the_last_time() -> None:
    lookup = Lookup([1, 2, 3, 7, 8, 1, 2, 3, 9, 4, 1, 2, 3])

    assert lookup.draft(2) == [9, 4]
    assert lookup.draft(0) == []
    lookup.add(5)
    assert lookup.draft(4) == []
    assert Lookup([1, 2]).draft(3) == []


def test_a_long_prompt_is_noted_from_its_end_little_by_little() -> None:
    passage = list(range(1000))
    lookup = Lookup([*passage, *passage])
    for token in (0, 1, 2):
        lookup.add(token)

    assert lookup.draft(2) == [3, 4]
    for token in (500, 501, 502):
        lookup.add(token)
    assert lookup.draft(2) == [503, 504]
    far = Lookup([*passage, *range(1000, 1500)])
    for token in (0, 1, 2):
        far.add(token)
    assert far.draft(2) == []  # not yet
    for token in (-1, -2, 10, 11, 12):
        far.add(token)
    assert far.draft(2) == [13, 14]


def test_drafts_are_made_once_they_would_have_been_right_and_given_up_when_they_are_not() -> None:
    gate = Gate()
    opened: list[int] = []
    closed: list[int] = []
    for place in range(400):
        before = gate.open
        gate.saw(not before and place % 40 != 39)  # right, until they are made
        if gate.open != before:
            (opened if gate.open else closed).append(place)

    assert 20 < opened[0] < 50
    assert closed[0] - opened[0] < 10
    pauses = [begun - given_up for given_up, begun in zip(closed, opened[1:], strict=False)]
    assert len(pauses) >= 2
    assert pauses[0] >= 32
    assert pauses[1] >= 64


def test_a_text_that_repeats_nothing_never_opens_the_gate() -> None:
    watch = Watch(range(100))
    for token in range(100, 500):
        watch(token)

    assert not watch.gate.open
