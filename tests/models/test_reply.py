"""A reply is its events, folded: parts in their order, and nothing lost."""

import random
from collections.abc import Sequence

import pytest

from models.chat import Reasoning, Text, ToolCall
from models.errors import InferenceError
from models.events import (
    Delta,
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)
from models.reply import Reply


def folded(events: Sequence[Event]) -> Reply:
    reply = Reply()
    for event in events:
        reply.take(event)
    return reply


def token(number: int) -> TokenLogprob:
    return TokenLogprob(number, str(number).encode(), -0.5)


def test_nothing_said_is_no_part():
    reply = folded([Started(3), Finished(FinishReason.CANCELLED)])

    assert reply.whole() == []
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("", "", [])


def test_pieces_become_one_part():
    reply = folded([TextDelta("Hel"), TextDelta("lo"), TextDelta("!")])

    assert reply.whole() == [Text("Hello!")]


def test_what_is_broken_off_and_goes_on_is_another_part():
    reply = folded(
        [
            ReasoningDelta("Let me "),
            ReasoningDelta("see."),
            TextDelta("I look."),
            ToolCallDelta(0, "", "1", "look"),
            TextDelta("Then "),
            ReasoningDelta("Hm."),
            TextDelta("done."),
        ]
    )

    assert reply.whole() == [
        Reasoning("Let me see."),
        Text("I look."),
        ToolCall("1", "look", ""),
        Text("Then "),
        Reasoning("Hm."),
        Text("done."),
    ]
    assert reply.text == "I look.Then done."
    assert reply.reasoning == "Let me see.Hm."


def test_calls_that_are_written_at_once_keep_their_arguments_apart():
    reply = folded(
        [
            ToolCallDelta(0, '{"a"', "1", "first"),
            ToolCallDelta(1, "{", "2", "second"),
            ToolCallDelta(0, ": 1}"),
            ToolCallDelta(1, "}"),
        ]
    )

    assert reply.tool_calls == [ToolCall("1", "first", '{"a": 1}'), ToolCall("2", "second", "{}")]


def test_a_call_goes_on_where_it_stands_although_text_came_between():
    reply = folded([ToolCallDelta(0, "{", "1", "look"), TextDelta("hm"), ToolCallDelta(0, "}")])

    assert reply.whole() == [ToolCall("1", "look", "{}"), Text("hm")]


def test_a_look_in_the_middle_changes_nothing():
    events: list[Delta] = [
        *(TextDelta(str(number)) for number in range(10)),
        *(ReasoningDelta(str(number)) for number in range(10)),
        ToolCallDelta(0, "{}", "1", "look"),
        TextDelta("end"),
    ]
    looked = Reply()
    for event in events:
        looked.take(event)
        looked.whole()
        _ = (looked.text, looked.reasoning, looked.tool_calls)

    assert looked.whole() == folded(events).whole()
    assert looked.whole()[0] == Text("0123456789")


def test_the_tokens_of_all_that_is_said_are_kept_in_their_order():
    reply = folded(
        [
            ReasoningDelta("hm", (token(1),)),
            TextDelta("a", (token(2), token(3))),
            TextDelta("b"),
            TextDelta("c", (token(4),)),
        ]
    )

    assert reply.tokens == [token(1), token(2), token(3), token(4)]


def test_how_it_began_and_ended_is_known():
    started, finished = Started(7, 2), Finished(FinishReason.STOP_STRING, stop_string="###")
    reply = folded([Progress(Stage.PREFILL, 1, 7), started, TextDelta("x"), finished])

    assert (reply.started, reply.finished) == (started, finished)
    assert reply.whole() == [Text("x")]


def test_a_reply_that_fails_has_what_was_said_and_no_end():
    reply = folded([Started(1), TextDelta("so far"), Failed(InferenceError("It died."))])

    assert (reply.text, reply.finished) == ("so far", None)


@pytest.mark.parametrize("seed", range(10))
def test_two_replies_share_nothing(seed: int):
    chance = random.Random(seed)
    one, other = Reply(), Reply()
    said = {id(one): "", id(other): ""}
    for number in range(50):
        reply = chance.choice((one, other))
        reply.take(TextDelta(f"{number} "))
        said[id(reply)] += f"{number} "

    assert (one.text, other.text) == (said[id(one)], said[id(other)])
