"""How long a model is to stay, in all the ways that Ollama's clients say it."""

import math

import pytest

from models.errors import InvalidRequest
from server.fields import Fields
from server.keep_alive import read_keep_alive


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        (30, 30),
        (1.5, 1.5),
        (0, 0),
        (-1, math.inf),
        ("10m", 600),
        ("1h30m", 5400),
        ("300s", 300),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("250ms", 0.25),
        ("+2m", 120),
        ("0", 0),
        ("0s", 0),
        ("-1m", math.inf),
        ("-1", math.inf),
        ("30", 30),
        ("1.5", 1.5),
        (".5", 0.5),
        ("9" * 400, 1000 * 365 * 24 * 3600),
        (10**30, 1000 * 365 * 24 * 3600),
    ],
)
def test_a_duration_is_read_as_go_reads_it_and_a_number_is_seconds(said, seconds):
    assert read_keep_alive(Fields({"keep_alive": said})) == seconds


@pytest.mark.parametrize(
    "said", ["soon", "", "5 ", ".", "-", "٣", "1m ", "m", "1x", "1m-2s", True, [], {}]
)
def test_anything_else_is_refused(said):
    with pytest.raises(InvalidRequest) as caught:
        read_keep_alive(Fields({"keep_alive": said}))

    assert caught.value.field == "keep_alive"
    assert "duration like '10m'" in str(caught.value)
