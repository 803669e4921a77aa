"""What a request needs, what a model can do, and the difference between the two."""

from dataclasses import replace
from typing import Any

import pytest

from models import abilities, chat
from models.abilities import ENGINES, Ability, needed_by, of
from models.chat import (
    EmbedRequest,
    GenerateRequest,
    Grammar,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    RerankRequest,
    SamplingParams,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from models.errors import NotAble
from models.model import Kind, Model
from tests.fakes import a_model

PICTURE = Image(b"a picture")
TOOLS = (Tool("look"),)
EVERYTHING = frozenset(Ability)


def asked(**changes: Any) -> GenerateRequest:
    return GenerateRequest(**{"model": "x", "prompt": "Hello", **changes})


def drawn(**sampling: Any) -> GenerateRequest:
    return asked(sampling=SamplingParams(**sampling))


def seen_by_a_tool() -> Message:
    return Message("tool", (ToolResult("1", (Text("here"), PICTURE)),))


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (asked(), set[Ability]()),
        (asked(prompt=(chat.user("Hi"),)), set[Ability]()),
        (drawn(temperature=0.5, seed=1, top_k=3, repeat_penalty=1.2), set[Ability]()),
        (asked(tools=TOOLS), {Ability.TOOLS}),
        (asked(tools=TOOLS, tool_choice=ToolChoice("required")), {Ability.TOOLS}),
        (asked(tools=TOOLS, tool_choice=ToolChoice("none")), set[Ability]()),
        (asked(tool_choice=ToolChoice("required")), set[Ability]()),
        (asked(thinking=True), {Ability.THINKING}),
        (asked(thinking="low"), {Ability.THINKING}),
        (asked(thinking=False), set[Ability]()),
        (asked(prompt=(Message("user", (Text("What?"), PICTURE)),)), {Ability.VISION}),
        (asked(prompt=(chat.user("Look!"), seen_by_a_tool())), {Ability.VISION}),
        (asked(suffix="the end"), {Ability.INSERT}),
        (asked(constraint=JsonObject()), {Ability.GRAMMAR}),
        (asked(constraint=JsonSchema({})), {Ability.GRAMMAR}),
        (asked(constraint=Grammar("[0-9]", "regex")), {Ability.GRAMMAR}),
        (asked(top_logprobs=0), {Ability.LOGPROBS}),
        (asked(top_logprobs=5), {Ability.LOGPROBS}),
        (asked(prompt_logprobs=True), {Ability.LOGPROBS}),
        (drawn(logit_bias=((1, 2.0),)), {Ability.LOGIT_BIAS}),
        (drawn(typical_p=0.5), {Ability.TYPICAL_P}),
        (drawn(typical_p=1.0), set[Ability]()),
        (asked(thinking=True, suffix="."), {Ability.THINKING, Ability.INSERT}),
    ],
)
def test_a_request_needs_what_it_asks_for(request_: GenerateRequest, needed: set[Ability]):
    assert needed_by(request_) == {Ability.COMPLETION, *needed}


def made(kind: Kind = Kind.LLAMA, **facts: Any) -> Model:
    model = a_model(kind=kind)
    return replace(model, details=replace(model.details, **facts))


def with_fact(fact: str) -> Model:
    facts: dict[str, Any] = {fact: True}
    return made(Kind.LLAMA, **facts)


@pytest.fixture
def able_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that know everything: what is left is what the models are made for."""
    monkeypatch.setattr(abilities, "ENGINES", dict.fromkeys(Kind, EVERYTHING))


FACTS = {
    "tools": Ability.TOOLS,
    "thinking": Ability.THINKING,
    "vision": Ability.VISION,
    "insert": Ability.INSERT,
}
OF_ANY = EVERYTHING - set(FACTS.values())


@pytest.mark.usefixtures("able_engines")
def test_a_model_that_completes_can_do_what_needs_no_training():
    assert of(made()) == OF_ANY


@pytest.mark.usefixtures("able_engines")
@pytest.mark.parametrize(("fact", "ability"), FACTS.items())
def test_a_fact_of_its_files_is_an_ability(fact: str, ability: Ability):
    assert of(with_fact(fact)) == OF_ANY | {ability}


@pytest.mark.usefixtures("able_engines")
def test_an_embedding_model_completes_nothing():
    model = made(completes=False, chat=False, pooling="mean", tools=True, vision=True)

    assert of(model) == {Ability.EMBEDDING, Ability.RERANK}


@pytest.mark.parametrize("kind", Kind)
def test_a_cross_encoder_ranks_and_has_no_vectors(kind: Kind):
    model = made(kind, completes=False, chat=False, pooling="rank")

    abilities.check(RerankRequest(model="x", query="a", documents=("b",)), model)
    with pytest.raises(NotAble, match="embedding"):
        abilities.check(EmbedRequest(model="x", inputs=("a",)), model)


@pytest.mark.parametrize("kind", Kind)
def test_a_model_that_writes_has_vectors_too(kind: Kind):
    abilities.check(EmbedRequest(model="x", inputs=("a",)), made(kind))
    abilities.check(RerankRequest(model="x", query="a", documents=("b",)), made(kind))


@pytest.mark.parametrize("kind", Kind)
def test_no_model_can_do_more_than_its_engine(kind: Kind):
    model = made(kind, tools=True, thinking=True, vision=True, insert=True, architecture="qwen2_vl")

    assert of(model) == ENGINES[kind]
    assert Ability.COMPLETION in of(model)


@pytest.mark.parametrize("kind", Kind)
def test_typical_p_is_known_to_both_engines(kind: Kind):
    abilities.check(drawn(typical_p=0.5), made(kind))


def test_all_that_is_lacking_is_named():
    request = asked(thinking=True, suffix="and so on", prompt=(seen_by_a_tool(),))

    with pytest.raises(NotAble) as caught:
        abilities.check(request, made())

    assert caught.value.lacking == ("insert", "thinking", "vision")
    assert all(word in str(caught.value) for word in caught.value.lacking)
    assert "scripted:latest" in str(caught.value)


@pytest.mark.parametrize("kind", Kind)
def test_an_embedding_model_is_asked_to_complete_in_vain(kind: Kind):
    with pytest.raises(NotAble) as caught:
        abilities.check(asked(), made(kind, completes=False, chat=False))

    assert caught.value.lacking == ("completion",)
