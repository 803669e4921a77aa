"""When the end of a thought is due: by its tokens, never in the middle of a character."""

import pytest

from models.engine.thought_budget import ThoughtBudget, ThoughtWatch


def budget(tokens: int, *, begun: bool = False) -> ThoughtBudget:
    return ThoughtBudget(
        tokens=tokens,
        begun=begun,
        begin="<think>",
        ends=("</think>", "<tool_call>"),
        closing="</think>",
        closing_tokens=(7, 8),
    )


def due(watch: ThoughtWatch, *pieces: str) -> list[bool]:
    """Whether it is due behind each piece of one token."""
    found: list[bool] = []
    for piece in pieces:
        watch.take(piece.encode(), 1)
        found.append(watch.is_due())
    return found


def test_tokens_count_from_behind_the_tag():
    assert due(ThoughtWatch(budget(2)), "\n", "<th", "ink>", "a", "b", "c") == [False] * 4 + [
        True,
        True,
    ]


def test_in_a_thought_that_the_prompt_has_begun_all_of_them_count():
    assert due(ThoughtWatch(budget(2, begun=True)), "a", "b") == [False, True]
    assert ThoughtWatch(budget(0, begun=True)).is_due()


@pytest.mark.parametrize("end", [["</th", "ink>"], ["</think>"], ["x<tool_", "call>"]])
def test_a_thought_that_has_ended_is_not_ended_again(end: list[str]):
    watch = ThoughtWatch(budget(3, begun=True))
    assert not any(due(watch, "a", *end, "b", "c"))
    assert watch.over


def test_an_answer_without_a_thought_has_no_end_due():
    watch = ThoughtWatch(budget(1))
    assert not any(due(watch, "<", "b>", "<think>", "a", "b"))
    assert watch.over


def test_it_waits_for_the_end_of_a_character():
    watch = ThoughtWatch(budget(1, begun=True))
    first, second = "é".encode()[:1], "é".encode()[1:]
    watch.take(first, 1)
    assert not watch.is_due()
    watch.take(second, 1)
    assert watch.is_due()


def test_a_token_that_is_not_told_yet_may_end_it():
    watch = ThoughtWatch(budget(2, begun=True))
    watch.take(b"a", 1)
    assert watch.is_due(b"b", 1)
    assert not watch.is_due(b"</think>", 1)
