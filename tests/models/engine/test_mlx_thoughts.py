"""On MLX a thought is ended on the device, one token ahead of what is told."""

from functools import partial
from types import ModuleType

import pytest

from models.engine.mlx_thoughts import ThoughtEnd
from models.engine.thought_budget import ThoughtBudget

mx: ModuleType = pytest.importorskip("mlx.core", reason="MLX is not installed here")

BUDGET = ThoughtBudget(
    tokens=2,
    begun=True,
    begin="<think>",
    ends=("</think>",),
    closing="</think>",
    closing_tokens=(7, 8),
)


def forced_by(end: ThoughtEnd, *tokens: int) -> list[int]:
    """The tokens that may be drawn behind a prompt of three and these."""
    drawn = end(mx.array([0, 0, 0, *tokens], dtype=mx.uint32), mx.zeros((1, 10)))
    return [token for token, logit in enumerate(drawn[0].tolist()) if logit == 0]


def test_a_token_that_is_drawn_anew_is_thought_over_anew():
    pieces = {1: b"a", 2: b"</think>", 7: b"</thi", 8: b"nk>"}
    end = ThoughtEnd(mx, BUDGET, pieces.__getitem__)
    forced = partial(forced_by, end)
    everything = list(range(10))
    assert forced() == everything
    assert forced(1) == everything
    end.saw(1)
    assert forced(1, 1) == [7]
    assert forced(1) == everything  # it was taken out of its batch, and draws again
    assert forced(1, 2) == everything  # this time the model ends it
    assert forced(1, 1) == [7]
    end.saw(1)
    assert forced(1, 1, 7) == [8]
    end.saw(7)
    assert forced(1, 1, 7, 8) == everything


def test_a_later_thought_is_ended_too():
    pieces = {1: b"a", 3: b"<think>", 7: b"</thi", 8: b"nk>"}
    end = ThoughtEnd(mx, BUDGET, pieces.__getitem__)
    answer = [1, 1, 7, 8, 3, 1, 7, 8, 1]
    allowed: list[list[int]] = []
    for length in range(len(answer)):
        allowed.append(forced_by(end, *answer[:length]))
        if length:
            end.saw(answer[length - 1])

    free = list(range(10))
    # That another has begun is known when its tag is told.
    assert allowed == [free, free, [7], [8], free, free, [7], [8], free]
