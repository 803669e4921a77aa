"""When the end of a thought is due: by its tokens, never in the middle of a character."""

from dataclasses import replace

import pytest

from models.chat import SamplingParams
from models.engine.backend import Decoded, Work
from models.engine.llama_sequence import Sequence
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


HARMONY = ThoughtBudget(
    tokens=3,
    begun=False,
    begin="<analysis>",
    ends=("<end>",),
    closing="<end>",
    closing_tokens=(7,),
    anywhere=True,
)


def test_the_thoughts_of_an_answer_count_together():
    watch = ThoughtWatch(replace(budget(4), unseen=("</think>", "<answer>")))
    pieces = ["<think>", "a", "</think>", "\n", "<answer>", "<thi", "nk>", "b", "c"]
    assert due(watch, *pieces) == [False] * 8 + [True]

    watch = ThoughtWatch(HARMONY)
    pieces = ["<analysis>", "a", "<end>", "Hi. <b", "<analysis>b", "c"]
    assert due(watch, *pieces) == [False] * 5 + [True]


def test_what_is_said_between_two_thoughts_ends_them_where_only_the_first_may_begin_one():
    watch = ThoughtWatch(budget(1))
    assert not any(due(watch, "<think>", "</think>", "Hi.", "<think>", "b"))
    assert watch.over


def test_one_piece_may_end_a_thought_and_begin_another():
    watch = ThoughtWatch(HARMONY)
    watch.take(b"<analysis>a<end><start><analysis>", 4)
    assert not watch.is_due()
    watch.take(b"b", 3)
    assert watch.is_due()


def test_on_llama_cpp_a_later_thought_is_ended_too():
    work = Work(tokens=(1,), max_tokens=50, sampling=SamplingParams(), thought=HARMONY)
    sequence = Sequence(1, work, 0, context_length=100, shares_cells=False)

    def told(*pieces: str) -> str:
        found = [sequence.take(Decoded(1, each.encode(), (5,))) for each in pieces]
        return b"".join(each.piece for each in found if isinstance(each, Decoded)).decode()

    assert told("<analysis>", "a", "b", "c", "late") == "<analysis>abc<end>"
    sequence.continued({})
    assert told("So.", "<analysis>", "late") == "So.<analysis><end>"
