"""One generation as a pure function: a backend's outputs in, one sentence of events out."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from models.chat import GenerateRequest
from models.engine.backend import Admitted, Decoded, Output, Prefilled, Prefilling, SequenceFailed
from models.engine.generation import Generation
from models.engine.prompt import Prompt
from models.errors import ModelCrashed
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    Stage,
    Started,
    TextDelta,
    TokenLogprob,
)

PROMPT = (10, 11, 12)


def begun(dropped: int = 0, **asked: Any) -> Generation:
    request = GenerateRequest(**{"model": "x", "prompt": "abc", **asked})
    return Generation(request, Prompt(PROMPT, 100, dropped), time.monotonic())


def fed(generation: Generation, outputs: Sequence[Output]) -> list[Event]:
    return [event for output in outputs for event in generation.take(output)]


def said(piece: bytes, *ids: int, finish: FinishReason | None = None, at: float = 0.0) -> Decoded:
    return Decoded(1, piece, ids, finish, len(ids), at=at)


def end_of(generation: Generation, outputs: Sequence[Output]) -> Finished:
    *_, last = fed(generation, outputs)
    assert isinstance(last, Finished)
    return last


END = FinishReason.END_OF_TURN


def test_it_starts_when_it_has_its_place():
    assert fed(begun(dropped=2), [Admitted(1, 3)]) == [Started(3, 2)]


def test_the_backend_knows_best_how_long_the_prompt_is():
    generation = begun()

    assert fed(generation, [Admitted(1, 260)]) == [Started(260)]
    assert (
        end_of(generation, [Prefilled(1, 0), said(b"", 2, finish=END)]).usage.prompt_tokens == 260
    )


def test_the_way_through_the_prompt_is_told():
    events = fed(begun(), [Prefilling(1, 1, 3), Prefilled(1, 1)])

    assert events == [Progress(Stage.PREFILL, 1, 3)]


def test_what_is_decoded_is_said_and_counted():
    generation = begun()
    events = fed(
        generation,
        [
            Admitted(1, 3),
            Prefilled(1, 2, at=100.0),
            said(b"Hel", 5, at=101.0),
            said(b"lo", 6, 7, at=103.5),
            said(b"", 2, finish=END, at=104.0),
        ],
    )

    assert events[:3] == [Started(3), TextDelta("Hel"), TextDelta("lo")]
    (finished,) = events[3:]
    assert isinstance(finished, Finished)
    assert finished.reason is END
    usage = finished.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (3, 2, 4)
    assert usage.decode_seconds == 4.0


def test_a_prompt_that_takes_its_time_is_prefill_and_nothing_else():
    asked = time.monotonic() - 5.0
    generation = Generation(GenerateRequest(model="x", prompt="abc"), Prompt(PROMPT, 100), asked)
    at = time.monotonic() + 7.0

    usage = end_of(generation, [Prefilled(1, 0, at=at), said(b"", 2, finish=END, at=at)]).usage

    assert usage.load_seconds == pytest.approx(5.0, abs=1.0)
    assert usage.prefill_seconds == pytest.approx(7.0, abs=1.0)
    assert usage.decode_seconds == 0.0


@pytest.mark.parametrize(
    ("reason", "tokens"),
    [
        (FinishReason.END_OF_TURN, (*PROMPT, 5, 6)),  # without the token that ended it
        (FinishReason.MAX_TOKENS, (*PROMPT, 5, 6, 7)),  # nothing but the limit ended it
    ],
)
def test_the_ids_are_what_was_read_and_said(reason: FinishReason, tokens: tuple[int, ...]):
    outputs = [said(b"a", 5), said(b"b", 6), said(b"c", 7, finish=reason)]

    assert end_of(begun(want_tokens=True), outputs).tokens == tokens
    assert end_of(begun(), outputs).tokens is None, "nobody wanted them"


def test_one_id_that_is_not_told_leaves_all_unknown():
    half = Decoded(1, "😀".encode(), None, count=3)
    finished = end_of(begun(want_tokens=True), [said(b"a", 5), half, said(b"", 2, finish=END)])

    assert finished.tokens is None
    assert finished.usage.completion_tokens == 5, "they are counted nonetheless"


def test_a_stop_string_ends_it_and_is_told():
    generation = begun(want_tokens=True, stop=("###", "never"))
    events = fed(generation, [said(b"so ", 5), said(b"#", 6), said(b"## more", 7)])

    *before, finished = events
    assert before == [TextDelta("so ")]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.stop_string) == (FinishReason.STOP_STRING, "###")
    assert finished.tokens == (*PROMPT, 5)
    assert finished.usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        ((b"say ", b"when"), (20,)),  # it begins inside the second: that one is no part of it
        ((b"say w", b"hen"), (20,)),
        ((b"say", b" w", b"he", b"n"), (20, 21)),
        (("é".encode()[:1], "é".encode()[1:] + b"w", b"hen"), (20, 21)),
        ((b"when",), ()),
        ((b"\xff\xff\xff", b"say ", b"hen"), (20, 21)),  # bytes that are no character count too
    ],
)
def test_ids_end_before_the_token_that_a_stop_string_begins_in(
    pieces: tuple[bytes, ...], kept: tuple[int, ...]
):
    outputs = [said(piece, 20 + place) for place, piece in enumerate(pieces)]

    assert end_of(begun(want_tokens=True, stop=("hen",)), outputs).tokens == (*PROMPT, *kept)


def test_a_stop_string_in_the_last_token_wins_over_the_end():
    finished = end_of(begun(stop=("b",)), [said(b"ab", 5, finish=FinishReason.MAX_TOKENS)])

    assert finished.reason is FinishReason.STOP_STRING


def test_what_might_have_been_a_stop_string_is_said_before_the_end():
    events = fed(begun(stop=("###",)), [said(b"a #", 5), said(b"", 2, finish=END)])

    assert events[:-1] == [TextDelta("a "), TextDelta("#")]


def test_logprobs_go_with_their_text():
    token = TokenLogprob(5, b"hi", -0.5, (TokenLogprob(5, b"hi", -0.5),))
    output = Decoded(1, b"hi", (5,), logprobs=(token,))

    assert fed(begun(), [output]) == [TextDelta("hi", (token,))]


def test_a_sequence_that_fails_is_told_with_its_error():
    error = ModelCrashed("It died.")

    assert fed(begun(), [SequenceFailed(1, error)]) == [Failed(error)]


def test_a_cancel_before_anything_has_come_has_an_end_too():
    finished = begun(want_tokens=True).cancel()

    assert (finished.reason, finished.tokens) == (FinishReason.CANCELLED, PROMPT)
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens) == (3, 0)
    assert finished.usage.decode_seconds == 0.0
    assert finished.usage.prefill_seconds >= 0.0


def test_a_cancel_in_the_middle_counts_what_was_said():
    generation = begun(want_tokens=True)
    fed(generation, [Admitted(1, 3), Prefilled(1, 0, at=1.0), said(b"a", 5, at=2.0)])

    finished = generation.cancel()

    assert (finished.reason, finished.stop_string) == (FinishReason.CANCELLED, None)
    assert finished.tokens == (*PROMPT, 5)
    assert (finished.usage.completion_tokens, finished.usage.decode_seconds) == (1, 1.0)
