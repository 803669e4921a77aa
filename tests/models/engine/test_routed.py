"""Answers whose parts begin with where they go: gpt-oss' channels, and Functionary 3.2."""

import random
from typing import Any

import pytest

from models import chat
from models.chat import Message, Reasoning, Text, Tool, ToolCall, ToolResult
from models.engine.grammar import Tokens
from models.engine.grammar_maker import GrammarMaker
from models.markup import CallForm
from models.model_family import CALLS, ModelFamily
from tests.models.engine.published import SOURCES, compiled
from tests.models.engine.test_families import random_pieces, told

HARMONY = ModelFamily(next(row for row in CALLS if row.form is CallForm.HARMONY))
PART = ModelFamily(next(row for row in CALLS if row.form is CallForm.PART))
LOOK = Tool("look", "", {"properties": {"city": {"type": "string"}}})
THOUGHT = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
CITY = '{"city": "<|end|>"}'
HEADER = "<|channel|>commentary to=functions.look <|constrain|>json<|message|>"
CALL = HEADER + CITY
LOOKED = ("look", '{"city": "<|end|>"}')

needs_templates = pytest.mark.skipif(not SOURCES, reason="no chat templates here")


@pytest.mark.parametrize(
    ("family", "said", "expected", "unread"),
    [
        (HARMONY, "<|channel|>final<|message|>Hi <|you|>", ["Hi <|you|>"], 0),
        (HARMONY, f"{THOUGHT}<|channel|>final<|message|>Hi", ["Hm.Hi"], 0),
        (HARMONY, f"{THOUGHT}{CALL}", ["Hm.", LOOKED], 0),
        (HARMONY, f"{THOUGHT}{CALL}<|call|>", ["Hm.", LOOKED], 0),
        (
            HARMONY,
            f"{THOUGHT}<|channel|>commentary<|message|>I look.<|end|><|start|>assistant{CALL}",
            ["Hm.I look.", LOOKED],
            0,
        ),
        (HARMONY, f" to=functions.look<|channel|>commentary json<|message|>{CITY}", [LOOKED], 0),
        (HARMONY, f"{CALL}<|call|><|start|>assistant{CALL}", [LOOKED, LOOKED], 0),
        (HARMONY, CALL[:-4], [("look", LOOKED[1][:-4])], 1),
        (HARMONY, "<|channel|>commentary to=functions.lo", [], 1),
        (HARMONY, "<|channel|>ana", [], 0),
        (HARMONY, "Without any channel", ["Without any channel"], 0),
        (HARMONY, '{"n": 1}', ['{"n": 1}'], 0),
        (HARMONY, f"{HEADER}oops", [("look", "")], 1),
        (PART, "all\nif x >>> 2:\n>>> print()\n", ["if x >>> 2:\n>>> print()\n"], 0),
        (PART, 'all\nI look.>>>look\n{"city": ">>>look\\n"}', ["I look.", ("look",)], 0),
        (PART, 'look\n{}>>>look\n{"city": "a"}', [("look", "{}"), ("look", '{"city": "a"}')], 0),
        (PART, 'look\n{"city', [("look", '{"city')], 1),
        (PART, "Hello\nyou", ["Hello\nyou"], 0),
    ],
)
def test_parts_go_where_they_say(
    family: ModelFamily, said: str, expected: list[Any], unread: int
) -> None:
    whole = told(family, [said], (LOOK,))
    names = [each if isinstance(each, str) else each[:1] for each in whole[0]]
    assert names == [each if isinstance(each, str) else each[:1] for each in expected]
    for found, wanted in zip(whole[0], expected, strict=True):
        if isinstance(wanted, tuple) and len(wanted) == 2:
            assert found == wanted
    assert whole[1] == unread
    for place in range(len(said)):
        assert told(family, [said[:place], said[place:]], (LOOK,)) == whole, place
    assert told(family, list(said), (LOOK,)) == whole


PIECES = [
    *("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>", "analysis", "final"),
    *("commentary", " to=functions.look", "{", "}", '"', "\n", "😀", ">>>", "look", "all\n"),
]


@pytest.mark.parametrize("family", [HARMONY, PART])
@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_model_writes_it_is_told_alike_and_nothing_raises(
    family: ModelFamily, seed: int
) -> None:
    chance = random.Random(seed)
    said = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 30)))
    whole = told(family, [said], (LOOK,))
    for _ in range(8):
        pieces = list(random_pieces(said, chance))
        assert told(family, pieces, (LOOK,)) == whole, pieces


@needs_templates
def test_gpt_oss_is_given_one_call_a_message_with_its_own_result() -> None:
    history = (
        chat.user("Hi"),
        Message(
            "assistant",
            (
                Reasoning("Hm."),
                Text("I look."),
                ToolCall("1", "look", '{"city": "Bern"}'),
                ToolCall("2", "look", '{"city": "Paris"}'),
            ),
        ),
        Message("tool", (ToolResult("2", (Text("drizzle"),)),)),
        Message("tool", (ToolResult("1", (Text("sunshine"),)),)),
    )
    text = compiled("openai-gpt-oss-120b").render(history, (LOOK,))
    places = [text.index(each) for each in ("I look.", "Bern", "sunshine", "Paris", "drizzle")]
    assert places == sorted(places)


@needs_templates
@pytest.mark.parametrize(
    ("thinking", "level"), [(None, "medium"), (True, "medium"), ("high", "high"), (False, "low")]
)
def test_gpt_oss_thinks_as_much_as_it_is_asked_to(thinking: str | bool | None, level: str) -> None:
    text = compiled("openai-gpt-oss-120b").render((chat.user("Hi"),), thinking=thinking)  # pyright: ignore[reportArgumentType]
    assert f"Reasoning: {level}\n" in text


def test_an_answer_of_a_given_form_is_its_last_part() -> None:
    maker = GrammarMaker(lambda: Tokens((3,), tags={"<|channel|>": 1, "<|message|>": 2}))
    request = chat.GenerateRequest(
        model="x", prompt=(chat.user("Hi"),), constraint=chat.JsonSchema({"type": "integer"})
    )
    made = maker.make(request, (1,), HARMONY)
    maker.close()
    assert made and '<[1]> "final" <[2]> body' in made.lark
