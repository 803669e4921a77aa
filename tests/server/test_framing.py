"""From dicts to bytes that every client can take apart again."""

import json

from server import framing


def test_letters_are_sent_as_they_are():
    assert framing.line({"text": "é"}) == '{"text":"é"}\n'.encode()
    assert framing.data({"text": "é"}) == 'data: {"text":"é"}\n\n'.encode()


def test_what_some_clients_take_for_the_end_of_a_line_is_escaped():
    said = {"a\u2028b": "\x85\u2028\u2029é\r\n"}

    for frame in (framing.line(said), framing.data(said), framing.to_json(said)):
        assert len(frame.decode().strip().splitlines()) == 1
        assert json.loads(frame.decode().removeprefix("data: ")) == said


def test_half_a_character_does_not_end_a_stream():
    assert framing.line({"text": "\ud83d"}) == b'{"text":"?"}\n'


def test_a_template_is_the_object_that_it_stands_for():
    def made(a: str, b: str):
        return {"model": "x", "inner": [{"a": a, "b": b}], "n": None}

    template = framing.Template(made, 2)

    for texts in (("1", "2"), ('"\\\n', "\u2028é"), ("", "\ue0001\ue000")):
        filled = template.fill(*texts)
        assert json.loads(filled) == made(*texts)
        assert framing.line(filled) == framing.line(made(*texts))


def test_an_event_is_named_by_its_type():
    assert framing.event({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert framing.event({"type": "a_b", "text": '"c"'}).startswith(b"event: a_b\ndata: {")
