"""Reading JSON fields by name and strictly."""

import pytest

from models.errors import InvalidRequest
from server.fields import Fields


@pytest.mark.parametrize(
    ("reader", "value", "sentence"),
    [
        ("text", 5, '"x" must be a string, not a number.'),
        ("text", ["a"], '"x" must be a string, not a list.'),
        ("flag", "yes", '"x" must be true or false, not a string.'),
        ("integer", "1", '"x" must be a whole number, not a string.'),
        ("integer", True, '"x" must be a whole number, not true or false.'),
        ("integer", 1.5, '"x" must be a whole number, not a number.'),
        ("integer", 10**30, '"x" must be at most 9223372036854775807.'),
        ("number", {}, '"x" must be a number, not an object.'),
        ("number", False, '"x" must be a number, not true or false.'),
        ("number", -(10**400), '"x" must be at least -9223372036854775807.'),
        ("texts", ["a", 1], '"x" must be a string or a list of strings, not a list.'),
        ("array", "a", '"x" must be a list, not a string.'),
        ("inner", [], '"x" must be an object, not a list.'),
        ("objects", [{}, None], '"x[1]" must be an object, not null.'),
    ],
)
def test_a_wrong_type_is_told_with_the_name_of_the_field(reader, value, sentence):
    fields = Fields({"x": value})

    with pytest.raises(InvalidRequest) as caught:
        getattr(fields, reader)("x")

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "reader", ["text", "flag", "integer", "number", "array", "inner", "objects"]
)
def test_null_is_as_good_as_absent(reader):
    assert getattr(Fields({"x": None}), reader)("x") is None
    assert getattr(Fields({}), reader)("x") is None


def test_a_whole_number_may_be_written_with_a_point():
    assert Fields({"n": 24.0}).integer("n") == 24


def test_one_string_is_a_list_of_one():
    assert Fields({"stop": "END"}).texts("stop") == ("END",)


def test_text_that_must_be_there_may_be_empty():
    assert Fields({"x": ""}).required_text("x") == ""
    with pytest.raises(InvalidRequest) as caught:
        Fields({"x": None}).required_text("x")
    assert str(caught.value) == '"x" is missing.'


def test_a_whole_object_is_read_at_once():
    fields = Fields({"schema": {"a": {"b": 1}}})
    inner = fields.inner("schema")

    assert inner and inner.raw() == {"a": {"b": 1}}
    assert fields.ignored() == []


def test_what_nobody_reads_is_known_with_its_place():
    fields = Fields(
        {
            "model": "m",
            "surprise": 1,
            "nothing": None,
            "options": {"seed": 1, "wonder": 2},
            "messages": [{"role": "user", "name": "a"}, {"role": "user", "name": "b"}],
        }
    )
    fields.text("model")
    options = fields.inner("options")
    assert options
    options.integer("seed")
    for message in fields.objects("messages") or ():
        message.text("role")

    assert fields.ignored() == ["surprise", "options.wonder", "messages[].name"]


def test_a_field_that_was_checked_can_still_count_as_ignored():
    fields = Fields({"shift": True})

    fields.flag("shift")
    fields.ignore("shift")

    assert fields.ignored() == ["shift"]


def test_an_inner_field_is_named_with_its_place():
    messages = Fields({"messages": [{"role": 5}]}).objects("messages") or []

    with pytest.raises(InvalidRequest) as caught:
        messages[0].text("role")

    assert caught.value.field == "messages[0].role"
