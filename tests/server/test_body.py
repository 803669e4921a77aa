"""From bytes to a JSON object, or to a sentence that says what is wrong."""

import pytest

from models.errors import InvalidRequest
from server.body import parse_json


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
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
    ],
)
def test_what_is_no_json_object_is_refused_in_plain_words(data, sentence):
    with pytest.raises(InvalidRequest) as caught:
        parse_json(data)

    assert str(caught.value) == sentence


def test_a_byte_order_mark_is_no_fault():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_halves_of_characters_are_replaced_in_names_too():
    data = rb'{"a\ud83d": ["b\uD83D", "\ud83d\ude00", {"c": "\udE00"}]}'

    assert parse_json(data) == {"a\ufffd": ["b\ufffd", "\U0001f600", {"c": "\ufffd"}]}
