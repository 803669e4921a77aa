"""From bytes to a JSON object, or to a sentence that says what is wrong."""

import json
import sys
from collections.abc import Iterator

import psutil
import pytest

from models.errors import InferenceError, InvalidRequest
from server import large_bodies
from server.large_bodies import LargeBodies
from server.strict_json import MOST_VALUES, NotJson, parse

REFUSED = [
    (b"", "missing request body"),
    (b" \n", "missing request body"),
    (
        b'{"model": x}',
        "The request body is not JSON: Expecting value at line 1, column 11.",
    ),
    (
        b'{"model": "a"',
        "The request body is not JSON: Expecting ',' delimiter at line 1, column 14.",
    ),
    (b"[1]", "The request body must be a JSON object, not a list."),
    (b"null", "The request body must be a JSON object, not null."),
    (b'{"a": "\xff"}', "The request body is not UTF-8: see byte 7."),
    (b'{"a": NaN}', "NaN in the request body is not JSON."),
    (b'{"a": -Infinity}', "-Infinity in the request body is not JSON."),
    (b'{"a": 1e999}', "The number 1e999 in the request body is too large."),
    (b'{"a": ' + b"9" * 5000 + b"}", "A number in the request body is too long."),
    (b'{"a": 1, "b": 2, "a": 3}', '"a" is given twice.'),
    (
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "The JSON in the request body is nested too deeply.",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_what_is_no_json_object_is_refused_in_plain_words(data, sentence):
    with pytest.raises(NotJson) as caught:
        parse(data)

    assert str(caught.value) == sentence


def test_a_byte_order_mark_is_no_fault():
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_halves_of_characters_are_replaced_in_names_too():
    data = rb'{"a\ud83d": ["b\uD83D", "\ud83d\ude00", {"c": "\udE00"}]}'

    assert parse(data) == {"a\ufffd": ["b\ufffd", "\U0001f600", {"c": "\ufffd"}]}


def children() -> list[psutil.Process]:
    return psutil.Process().children()


@pytest.fixture
def bodies() -> Iterator[LargeBodies]:
    made = LargeBodies()
    yield made
    made.close()


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_a_large_body_is_refused_in_the_same_words(bodies, data, sentence):
    with pytest.raises(NotJson) as caught:
        bodies.parse([data[:5], data[5:]])

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "value",
    [
        {"a": "x" * 3_000_000},
        {"a": ["é" * 1_000_000, "漢" * 1_000_000, "😀" * 1_000_000, {"b": ["y" * 2000, "y"]}]},
        {"a": {"b": [None, True, 1.5, 10**30, -1, "", [], {}]}, "x" * 5000: 1},
        {"a": [{"b": 'text, with \\ and " and , ' * 100}] * 1000},
        {},
    ],
)
def test_a_large_body_is_the_object_that_it_says(bodies, value):
    data = json.dumps(value).encode()

    assert bodies.parse([data]) == value
    assert bodies.parse([json.dumps(value, ensure_ascii=False).encode()]) == value


def test_halves_of_characters_in_a_large_body_are_replaced(bodies):
    assert bodies.parse([rb'{"a\ud83d": "', b"x" * 2000, rb'\ud83d"}']) == {
        "a\ufffd": "x" * 2000 + "\ufffd"
    }


@pytest.mark.parametrize("element", [b"0", b"{}", b"[]", b'{"a":1}', b'"a"'])
def test_more_values_than_anyone_needs_are_refused_before_they_are_made(bodies, element):
    data = b'{"a": [' + b",".join([element] * (MOST_VALUES + 1)) + b"]}"

    with pytest.raises(NotJson) as caught:
        bodies.parse([data])

    assert str(caught.value) == (
        f"The request body holds more than {MOST_VALUES} values: send fewer at once."
    )


def test_commas_in_a_text_are_no_values(bodies):
    text = 'a, b\\\\, {[\\", ' * MOST_VALUES
    data = b'{"a": "' + text.encode() + b'"}'

    assert bodies.parse([data]) == json.loads(data)


def test_a_child_that_dies_is_replaced_by_the_next_body():
    bodies = LargeBodies([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(InferenceError) as caught:
        bodies.parse([b"{}"])
    bodies.close()

    assert "send it again" in str(caught.value)
    assert not isinstance(caught.value, InvalidRequest)


def test_a_child_that_died_in_peace_is_replaced(bodies):
    assert bodies.parse([b'{"a": 1}']) == {"a": 1}
    [child] = children()
    child.kill()
    child.wait(10)

    assert bodies.parse([b'{"a": 2}']) == {"a": 2}


def test_what_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(large_bodies, "_MOST_SECONDS", 0.2)
    bodies = LargeBodies([sys.executable, "-c", "import time; time.sleep(600)"])

    with pytest.raises(InvalidRequest) as caught:
        bodies.parse([b"x" * 1_000_000])
    bodies.close()

    assert "takes too long" in str(caught.value)


def test_closing_ends_whoever_waits(eventually):
    before = children()
    bodies = LargeBodies([sys.executable, "-c", "import time; time.sleep(600)"])
    waiting = bodies.thread.submit(bodies.parse, [b"{}"])
    eventually(lambda: children() != before)

    bodies.close()

    assert isinstance(waiting.exception(), InferenceError)
    bodies.close()
