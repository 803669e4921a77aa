"""A grammar as a logits processor: whatever a model would like, with real masks and real mlx."""

import random
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from models.chat import GenerateRequest, Grammar, JsonObject, ToolChoice
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_calls import Offer, compile_calls
from models.engine.hf_tokenizer import tokenizer_of
from models.engine.installed import has_mlx
from models.engine.mlx_grammar import GrammarProcessor, MlxGrammars, vocabulary_of
from models.errors import InferenceError, InvalidRequest, ModelCrashed
from models.model_family import CALLS

pytestmark = pytest.mark.skipif(not has_mlx(), reason="MLX is not installed here")

POCKET = Path(__file__).parents[3] / "resources/pocket/mlx"
END = 2  # <|im_end|>
PROMPT = [1, 300, 301]


class Row:
    """One sequence as mlx_lm runs it, one token ahead, whose model likes tokens at random."""

    def __init__(self, processor: GrammarProcessor, width: int, seed: int = 0) -> None:
        self._mx: Any = import_module("mlx.core")
        self.processor = processor
        self._width = width
        self._random = random.Random(seed)
        self.tokens = [*PROMPT, self._draw(PROMPT)]  # the last has been drawn and not told

    def step(self) -> int:
        ahead = self._draw(self.tokens)
        told = self.tokens[-1]
        self.processor.saw(told)
        self.tokens.append(ahead)
        return told

    def likes(self) -> Any:
        return self._mx.array([[self._random.random() for _ in range(self._width)]])

    def _draw(self, tokens: list[int]) -> int:
        mx = self._mx
        masked = self.processor(mx.array(tokens, dtype=mx.int32), self.likes())
        return int(mx.argmax(masked, axis=-1).item())


class Model:
    """pocket's tokenizer, and the grammars of a model with it."""

    def __init__(self) -> None:
        transformers: Any = import_module("transformers")
        self.loaded = transformers.AutoTokenizer.from_pretrained(POCKET)
        self.ours = tokenizer_of(self.loaded)
        self.grammars = MlxGrammars(import_module("mlx.core"), self.loaded, self.ours, [END])
        self.width = len(self.loaded) + 24  # rows that pad the weights

    def made(self, constraint: Grammar | JsonObject, prompt: tuple[int, ...] = (1,)) -> Any:
        request = GenerateRequest(model="x", prompt="Hi", constraint=constraint)
        return self.grammars.maker.make(request, prompt)

    def row(self, grammar: CompiledGrammar, seed: int = 0) -> Row:
        return Row(self.grammars.processor(grammar), self.width, seed)

    def answer(self, grammar: CompiledGrammar, seed: int = 0, most: int = 300) -> list[int]:
        row = self.row(grammar, seed)
        said: list[int] = []
        while len(said) < most and (token := row.step()) != END:
            said.append(token)
        return said

    def text(self, tokens: list[int]) -> str:
        return self.loaded.decode(tokens, skip_special_tokens=False)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.grammars.close()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_model_likes_it_says_what_it_may(model: Model, seed: int) -> None:
    grammar = model.made(Grammar(r"[0-9]{3}-[a-f]{2,9} (yes|no)", "regex"))
    said = model.text(model.answer(grammar, seed))
    assert model.grammars.maker.matches(grammar, said), said


def test_after_its_end_there_is_only_the_end(model: Model) -> None:
    row = model.row(model.made(Grammar("a", "regex")))
    assert [row.step() for _ in range(4)][1:] == [END, END, END]


def test_rows_that_pad_the_weights_are_never_drawn(model: Model) -> None:
    grammar = model.made(Grammar(r"(?s:.){40}", "regex"))
    assert max(model.answer(grammar)) < len(model.loaded)


def calling(model: Model) -> tuple[CompiledGrammar, int]:
    """A grammar of a call, and the token that ends one."""
    begin, finish = model.ours.encode("<tool_call>")[0], model.ours.encode("</tool_call>")[0]
    offer = Offer(
        calls=CALLS[0], arguments={"a": "/[0-9]{4}/"}, choice=ToolChoice(), thought="none"
    )
    tags = {"<tool_call>": begin, "</tool_call>": finish}
    return compile_calls(offer, Tokens(end=(END,), tags=tags)), finish


def spelled(model: Model, text: str) -> list[int]:
    return [token for each in text for token in model.ours.encode(each)]


@pytest.mark.parametrize("seed", range(5))
def test_text_is_free_up_to_a_trigger_and_then_it_is_not(model: Model, seed: int) -> None:
    grammar, finish = calling(model)
    begin = grammar.trigger
    assert begin is not None
    processor = model.grammars.processor(grammar)
    row = Row(processor, model.width, seed)
    free = [row.step() for _ in range(5)]

    row.tokens[-1] = begin  # it happens to be drawn
    while row.step() != begin:
        pass
    said: list[int] = []
    while (token := row.step()) != finish and len(said) < 60:
        said.append(token)

    assert len(set(free)) > 1
    assert re.fullmatch(r'\s*{"name": "a", "arguments": [0-9]{4}}\s*', model.text(said))


@pytest.mark.parametrize("behind", ["", "\n", '{"na'])
def test_a_tag_that_is_spelled_in_other_tokens_begins_a_call_too(model: Model, behind: str) -> None:
    grammar, finish = calling(model)
    row = model.row(grammar)
    for token in spelled(model, "a<tool <tool_call>" + behind):
        row.tokens[-1] = token  # it happens to be drawn
        row.step()
    said: list[int] = []
    while (token := row.step()) != finish and len(said) < 60:
        said.append(token)

    whole = behind + model.text(said)
    assert re.fullmatch(r'\s*{"name": "a", "arguments": [0-9]{4}}\s*', whole)


def test_a_spelled_tag_behind_which_no_call_can_come_is_left_alone(model: Model) -> None:
    grammar, _ = calling(model)
    row = model.row(grammar)
    *before, last = spelled(model, "<tool_call>")
    for token in before:
        row.tokens[-1] = token
        row.step()
    row.tokens[-1] = last
    row.tokens.append(model.ours.encode("x")[0])  # both are drawn before anybody looks
    row.processor.saw(last)
    assert len({row.step() for _ in range(8)}) > 4


def test_what_was_drawn_ahead_may_be_drawn_again(model: Model) -> None:
    mx: Any = import_module("mlx.core")
    grammar = model.made(Grammar("[a-z]{3}[0-9]{3}", "regex"))
    (letter,), (digit,) = model.ours.encode("a"), model.ours.encode("1")
    processor = model.grammars.processor(grammar)

    def allowed(said: list[int]) -> set[bool]:
        logits = processor(mx.array(PROMPT + said), mx.zeros((1, model.width)))
        return {bool(logits[0, token].item() == 0) for token in (letter, digit)}

    def may(token: int, said: list[int]) -> bool:
        logits = processor(mx.array(PROMPT + said), mx.zeros((1, model.width)))
        return bool(logits[0, token].item() == 0)

    assert may(letter, [])
    assert may(letter, [letter])
    assert may(letter, [letter, letter])
    assert may(digit, [letter] * 3)
    assert may(digit, [letter] * 3)  # the same place again
    assert not may(digit, [letter])  # two fewer
    assert may(digit, [letter] * 3)
    assert allowed([letter] * 3) == {True, False}


def test_a_token_that_is_not_allowed_ends_that_sequence_alone(model: Model) -> None:
    mx: Any = import_module("mlx.core")
    grammar = model.made(Grammar("[0-9]{9}", "regex"))
    (letter,) = model.ours.encode("a")
    processor = model.grammars.processor(grammar)
    logits = mx.zeros((1, model.width))
    processor(mx.array(PROMPT), logits)

    with pytest.raises(InferenceError, match="kept to its form"):
        processor(mx.array([*PROMPT, letter]), logits)

    said = model.text(model.answer(grammar))
    assert model.grammars.maker.matches(grammar, said)


def test_a_sequence_that_is_gone_is_forgotten(model: Model) -> None:
    grammar = model.made(JsonObject())
    desk = model.grammars._desk
    assert desk
    before = set(desk._answers)
    model.answer(grammar, most=3)
    model.answer(grammar, most=3)  # with which the first is told to be over
    assert len(set(desk._answers) - before) <= 1


def test_when_its_process_dies_sequences_fail_and_the_next_has_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Model()
    grammar = model.made(JsonObject())
    rows = [model.row(grammar), model.row(grammar)]
    assert model.grammars._desk
    model.grammars._desk._child.kill()

    for row in rows:
        with pytest.raises(ModelCrashed, match="has stopped: try again"):
            for _ in range(20):
                row.step()
    assert [(each.levelname, each.exc_info) for each in caplog.records] == [("WARNING", None)]

    grammar = model.made(Grammar("[0-9]{2}", "regex"))
    assert model.text(model.answer(grammar)).isdigit()
    model.grammars.close()


def test_a_vocabulary_that_cannot_be_spelled_is_refused() -> None:
    class Slow:
        def __init__(self) -> None:
            self.all_special_ids: list[int] = []

        def __len__(self) -> int:
            return 3

        def decode(self, *_: Any, **__: Any) -> str:
            return ""

    with pytest.raises(InvalidRequest):
        vocabulary_of(Slow(), [END])


def test_tags_are_no_text(model: Model) -> None:
    vocabulary = vocabulary_of(model.loaded, [END])
    tag = model.ours.encode("<tool_call>")[0]
    assert vocabulary.pieces[tag] == b"<tool_call>"
    assert tag in vocabulary.special


def test_a_mask_costs_a_step_little(model: Model) -> None:
    desk = model.grammars._desk or pytest.fail("it was started")
    number = desk.begin(model.made(JsonObject()).lark)
    desk.answer(number)
    tokens = model.ours.encode('{"a": "' + "b c d e f g" * 20)
    began = time.monotonic()
    for token in tokens:
        desk.tell([number, [token], 0])
        desk.answer(number)
    assert (time.monotonic() - began) / len(tokens) < 0.02  # 30 microseconds where nobody is busy
    desk.over(number)
