"""Grammars on llama.cpp, with a real child: what it drops in silence is an error here."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from models import chat
from models.chat import Constraint, GenerateRequest, Grammar, JsonSchema, SamplingParams
from models.engine.backend import Decoded, Output, SequenceFailed, Work
from models.engine.grammar import CompiledGrammar
from models.engine.llama import LlamaBackend, open_llama
from models.events import FinishReason
from models.model import Files
from tests.fakes import a_model, a_spec

POCKET = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
TICKETS = count(step=100)
# Whatever the model would say, the grammar alone says what may come.
HOT = SamplingParams(temperature=50.0, top_k=0, top_p=1.0)
USUAL = SamplingParams(temperature=1.0)
FREE = "%llguidance {}\nstart: /[a-z ]{3,12}/ (<[2]> | <[0]>)"


@pytest.fixture(scope="module")
def backend() -> Iterator[LlamaBackend]:
    woken = threading.Event()
    pocket = a_model("pocket", context_length=2048)
    model = replace(pocket, files=Files(POCKET.parent, POCKET.name))
    backend = open_llama(a_spec(model, context_length=2048, max_sequences=4), woken.set)
    while not backend.load():
        woken.wait(5)
    yield backend
    backend.close()


def outputs(
    backend: LlamaBackend,
    *grammars: CompiledGrammar | None,
    most: int = 60,
    sampling: SamplingParams = USUAL,
) -> list[Output]:
    """All that is said of as many sequences, which differ in their seed alone."""
    tokens = tuple(backend.prompter.tokenizer.encode("Once upon a time"))
    first = next(TICKETS)  # no ticket comes twice: what has ended may still be with the child
    works = {
        first + ticket: Work(
            tokens=tokens,
            max_tokens=most,
            sampling=replace(sampling, seed=ticket),
            grammar=grammar,
        )
        for ticket, grammar in enumerate(grammars)
    }
    backend.insert(works)
    told: list[Output] = []
    ended: set[int] = set()
    while len(ended) < len(works):
        told += [replace(each, ticket=each.ticket - first) for each in backend.step()]
        ended |= {
            each.ticket
            for each in told
            if isinstance(each, SequenceFailed) or (isinstance(each, Decoded) and each.finish)
        }
    return told


def made(backend: LlamaBackend, constraint: Constraint) -> CompiledGrammar:
    request = GenerateRequest(model="x", prompt=(chat.user("Hi"),), constraint=constraint)
    prompt = backend.prompter.prepare(request)
    assert prompt.grammar
    return prompt.grammar


def said(told: list[Output], ticket: int) -> str:
    pieces = [each.piece for each in told if isinstance(each, Decoded) and each.ticket == ticket]
    return b"".join(pieces).decode()


def test_answers_to_one_prompt_are_each_what_they_must_be(backend: LlamaBackend) -> None:
    grammar = made(backend, Grammar("[0-9]{3}-[a-f]{2}", "regex"))
    told = outputs(backend, grammar, grammar, grammar, sampling=HOT)

    maker = backend.prompter.grammars
    assert maker
    answers = [said(told, ticket) for ticket in range(3)]
    assert all(maker.matches(grammar, each) for each in answers)
    assert len(set(answers)) > 1


@pytest.mark.parametrize(
    ("item", "written"),
    [
        ({"type": "number", "minimum": -9, "maximum": -1}, r"-[1-9](\.[0-9]{1,9})?"),
        ({"type": "integer", "minimum": -40, "maximum": -1, "multipleOf": 7}, "-(7|14|21|28|35)"),
    ],
)
def test_numbers_below_0_are_written_and_have_an_end(
    backend: LlamaBackend, item: dict[str, object], written: str
) -> None:
    schema = {"type": "array", "items": item, "minItems": 3, "maxItems": 3}
    grammar = made(backend, JsonSchema(schema))
    told = outputs(backend, *[grammar] * 4, most=200)

    for ticket in range(4):
        assert re.fullmatch(rf"\[({written}(, (?=-)|(?=\]))){{3}}\]", said(told, ticket))


def test_an_answer_that_left_its_grammar_fails_and_is_not_told_as_whole(
    backend: LlamaBackend,
) -> None:
    wanted = "%llguidance {}\nstart: /[0-9]{3}/"
    told = outputs(backend, CompiledGrammar(FREE, wanted))

    (failed,) = [each for each in told if isinstance(each, SequenceFailed)]
    assert "does not have the form" in str(failed.error)
    assert not any(isinstance(each, Decoded) and each.finish for each in told)


NAMED = 'start: "a" (<[4]> | <[50]>) "b"'


def test_an_answer_with_special_tokens_is_whole(backend: LlamaBackend) -> None:
    grammar = made(backend, Grammar(NAMED, "lark"))
    assert grammar.named == (4, 50)

    told = outputs(backend, *[grammar] * 4)

    ends = [each.finish for each in told if isinstance(each, Decoded) and each.finish]
    assert ends == [FinishReason.END_OF_TURN] * 4


def test_an_answer_without_the_special_token_that_it_must_have_fails(
    backend: LlamaBackend,
) -> None:
    wanted = made(backend, Grammar(NAMED, "lark"))
    without = replace(made(backend, Grammar("ab", "regex")), text=wanted.text, named=wanted.named)

    told = outputs(backend, without)

    (failed,) = [each for each in told if isinstance(each, SequenceFailed)]
    assert "does not have the form" in str(failed.error)


def test_a_token_that_a_grammar_names_may_also_be_meant_as_its_text(backend: LlamaBackend) -> None:
    # Token 50 is "J", as a text too; and 2 ends the turn, where it is not meant.
    grammar = made(backend, Grammar('start: "J" <[50]> "J" | "JJ" | "J" <[2]> "c"', "lark"))

    told = outputs(backend, *[grammar] * 4)

    assert not any(isinstance(each, SequenceFailed) for each in told)


def test_a_grammar_that_llama_cpp_cannot_read_is_an_error(backend: LlamaBackend) -> None:
    schema = '%llguidance {}\nstart: %json {"not": {}}'
    told = outputs(backend, CompiledGrammar(schema, "%llguidance {}\nstart: /[0-9]{3}/"))
    ends = [each for each in told if isinstance(each, SequenceFailed)]
    cut = [each for each in told if isinstance(each, Decoded) and each.finish]
    assert ends or cut[0].finish is FinishReason.MAX_TOKENS


def test_an_answer_that_is_cut_is_cut_and_not_wrong(backend: LlamaBackend) -> None:
    grammar = made(backend, JsonSchema({"type": "array", "items": {"const": "a"}, "minItems": 50}))
    told = outputs(backend, grammar, most=10)
    (last,) = [each for each in told if isinstance(each, Decoded) and each.finish]
    assert last.finish is FinishReason.MAX_TOKENS


def test_neighbours_without_a_grammar_are_free(backend: LlamaBackend) -> None:
    told = outputs(backend, None, most=20)
    assert not any(isinstance(each, SequenceFailed) for each in told)
