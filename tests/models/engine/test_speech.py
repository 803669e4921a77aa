"""What a model writes is told apart into text, thoughts and calls, however it is cut."""

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from models.engine.decoder import Decoder
from models.engine.speech import Speech
from models.events import (
    Delta,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)
from models.model_family import CALLS, THOUGHTS, ModelFamily
from tests.models.engine.qwen_answers import ANSWERS, CALLED, LOOK, SAID, THOUGHT, tagged

QWEN = ModelFamily(CALLS[0], THOUGHTS[0])


def fed(speech: Speech, pieces: Sequence[str]) -> list[Delta]:
    decoder = Decoder((), speech)
    deltas: list[Delta] = []
    for place, piece in enumerate(pieces):
        last = FinishReason.END_OF_TURN if place == len(pieces) - 1 else None
        deltas += decoder.feed(piece.encode(), last)[0]
    return deltas


def folded(deltas: Sequence[Delta]) -> list[tuple[str, ...]]:
    """What was told in a row, as one."""
    found: list[list[str]] = []
    for delta in deltas:
        match delta:
            case ToolCallDelta(index, arguments, call_id, name):
                if name:
                    assert call_id
                    found.append([CALLED, name, ""])
                assert index == sum(each[0] == CALLED for each in found) - 1
                found[-1][-1] += arguments
                continue
            case TextDelta(text):
                kind = SAID
            case ReasoningDelta(text):
                kind = THOUGHT
        assert text
        if not found or found[-1][0] != kind:
            found.append([kind, ""])
        found[-1][-1] += text
    return [tuple(each) for each in found]


def told(
    pieces: Sequence[str], *, calls: bool = True, thinking: bool = False
) -> tuple[list[tuple[str, ...]], int]:
    """What is told of an answer, and how many of its calls could not be read."""
    speech = Speech(QWEN, calls=calls, thinking=thinking)
    return folded(fed(speech, pieces)), speech.unread_calls


each_answer = pytest.mark.parametrize("what", ANSWERS)


@each_answer
def test_an_answer_is_told_as_what_it_is(what: str) -> None:
    text, expected, unread = ANSWERS[what]
    assert told([text]) == (expected, unread)


@each_answer
@pytest.mark.parametrize("thinking", [False, True])
def test_it_is_the_same_wherever_it_is_cut_in_two(what: str, thinking: bool) -> None:
    text = ANSWERS[what][0]
    whole = told([text], thinking=thinking)

    for place in range(len(text) + 1):
        assert told([text[:place], text[place:]], thinking=thinking) == whole, place


def random_pieces(text: str, chance: random.Random) -> Iterator[str]:
    longest = chance.choice((1, 3, 9, 40))
    while text:
        size = chance.randint(1, longest)
        yield text[:size]
        text = text[size:]


@each_answer
def test_it_is_the_same_in_however_many_pieces(what: str) -> None:
    text, expected, unread = ANSWERS[what]

    for seed in range(60):
        pieces = list(random_pieces(text, random.Random(seed)))
        assert told(pieces) == (expected, unread), pieces


MUTATIONS = (
    "<tool_call>",
    "</tool_call>",
    "<think>",
    '"',
    "'",
    "{",
    "}",
    "\\",
    "\n",
    "ü",
    "😀",
    "[",
    ",",
)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_done_to_an_answer_it_is_told_alike_and_nothing_raises(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice(list(ANSWERS.values()))[0] for _ in range(3))
    for _ in range(chance.randint(1, 6)):
        place, size = chance.randrange(len(text)), chance.choice((0, 1, 5))
        text = text[:place] + chance.choice(("", *MUTATIONS)) + text[place + size :]

    whole = told([text])

    assert told(list(text)) == whole
    for _ in range(10):
        pieces = list(random_pieces(text, chance))
        assert told(pieces) == whole, pieces
    for name in (each[1] for each in whole[0] if each[0] == CALLED):
        assert name
    if not whole[1]:
        assert all(json.loads(each[2]) is not None for each in whole[0] if each[0] == CALLED)


def test_a_thought_that_the_prompt_has_opened_is_one() -> None:
    assert told(["\nHm.\n</think>\n\nHi"], thinking=True)[0] == [(THOUGHT, "Hm."), (SAID, "Hi")]


def test_without_tools_a_call_is_text() -> None:
    assert told([f"See: {tagged(LOOK)}"], calls=False)[0] == [(SAID, f"See: {tagged(LOOK)}")]


def test_the_name_comes_first_and_the_arguments_as_they_are_written() -> None:
    speech = Speech(QWEN, calls=True)
    decoder = Decoder((), speech)
    deltas: list[list[Delta]] = [
        decoder.feed(piece.encode(), None)[0]
        for piece in (
            "<tool_call>",
            '{"name": "look", ',
            '"arguments": ',
            '{"ci',
            'ty": "Be',
            'rn"}',
        )
    ]

    assert deltas[:3] == [[], [], []]
    first, second = deltas[3]
    assert isinstance(first, ToolCallDelta) and isinstance(second, ToolCallDelta)
    assert (first.index, first.name, first.arguments) == (0, "look", "")
    assert re.fullmatch(r"call_[0-9a-f]{24}", first.id)
    assert [second, *deltas[4], *deltas[5]] == [
        ToolCallDelta(0, '{"ci'),
        ToolCallDelta(0, 'ty": "Be'),
        ToolCallDelta(0, 'rn"}'),
    ]


def test_text_is_told_at_once() -> None:
    decoder = Decoder((), Speech(QWEN, calls=True))
    said: list[Any] = [decoder.feed(piece, None)[0] for piece in (b"Hello", b" you", b" <", b"3")]
    assert said == [[TextDelta("Hello")], [TextDelta(" you")], [], [TextDelta(" <3")]]


def with_tokens(pieces: Sequence[str]) -> list[Delta]:
    speech = Decoder((), Speech(QWEN, calls=True))
    deltas: list[Delta] = []
    for place, piece in enumerate(pieces):
        last = FinishReason.END_OF_TURN if place == len(pieces) - 1 else None
        token = TokenLogprob(place, piece.encode(), -0.1)
        deltas += speech.feed(token.piece, last, (token,))[0]
    return deltas


@each_answer
def test_each_token_comes_with_the_text_that_it_made(what: str) -> None:
    for delta in with_tokens(ANSWERS[what][0]):
        if isinstance(delta, TextDelta | ReasoningDelta):
            assert "".join(each.piece.decode() for each in delta.tokens) == delta.text


@each_answer
def test_each_token_comes_once_and_in_its_order(what: str) -> None:
    for seed in range(20):
        pieces = list(random_pieces(ANSWERS[what][0], random.Random(seed)))
        told = [token.id for delta in with_tokens(pieces) for token in delta.tokens]
        assert told == sorted(set(told))
