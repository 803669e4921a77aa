"""A picture is read once, kept for a while, and only for who still wants it."""

import io
from typing import Any

import pytest
from PIL import Image as Pillow

from models import pictures
from models.chat import EmbedRequest, GenerateRequest, Image, Message, Text, ToolResult
from models.errors import InferenceError, InvalidRequest
from models.images import LOW_DETAIL_SIDE, MOST_PICTURES
from models.pictures import Pictures, Seen, has_images, pictures_of


def image(colour: str = "red", side: int = 600, **more: Any) -> Image:
    file = io.BytesIO()
    Pillow.new("RGB", (side, side), colour).save(file, "PNG")
    return Image(file.getvalue(), **more)


def asked(*images: Image) -> GenerateRequest:
    told = Message("tool", (ToolResult("1", (Text("Look:"), *images[1:])),))
    return GenerateRequest(model="x", prompt=(Message("user", images[:1]), told))


def seen(reader: Pictures, *images: Image) -> tuple[Any, ...]:
    prompt = reader.seen(asked(*images)).prompt
    assert not isinstance(prompt, str)
    return pictures_of(prompt)


def test_every_image_is_read_in_its_place():
    prompt = Pictures().seen(asked(image("red"), image("blue"), image("red"))).prompt

    assert not isinstance(prompt, str)
    assert all(isinstance(each, Seen) for each in prompt[0].parts)
    one, two, three = pictures_of(prompt)
    assert one is three and one != two


def test_a_file_is_decoded_once_for_all_that_ask():
    reader = Pictures()

    assert seen(reader, image())[0] is seen(reader, image())[0]
    assert seen(reader, image(detail="low"))[0].width == LOW_DETAIL_SIDE
    assert seen(reader, image())[0].width == 600


def test_what_is_kept_has_its_limit(monkeypatch: pytest.MonkeyPatch):
    reader = Pictures()
    first = seen(reader, image("red"))[0]
    monkeypatch.setattr(pictures, "_KEPT_BYTES", len(first.png) * 2)
    for colour in ("green", "blue"):
        seen(reader, image(colour))

    assert seen(reader, image("blue"))[0] is seen(reader, image("blue"))[0]
    assert seen(reader, image("red"))[0] is not first


def test_a_request_has_so_many_pictures_and_pixels_at_the_most(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InvalidRequest, match=f"{MOST_PICTURES + 1} pictures, and {MOST_PICTURES}"):
        seen(Pictures(), *[image(side=2)] * (MOST_PICTURES + 1))
    monkeypatch.setattr(pictures, "MOST_PIXELS_TOGETHER", 10_000)
    assert len(seen(Pictures(), *[image(side=50)] * 4)) == 4
    with pytest.raises(InvalidRequest, match="more pixels than 10,000 together"):
        seen(Pictures(), *[image(side=50)] * 5)


def test_nothing_is_read_for_who_has_gone():
    with pytest.raises(InferenceError, match="cancelled"):
        Pictures().seen(asked(Image(b"none")), wanted=lambda: False)


def test_what_has_no_pictures_stays_as_it_is():
    for request in (
        GenerateRequest(model="x", prompt="hi"),
        GenerateRequest(model="x", prompt=(Message("user", (Text("hi"),)),)),
        EmbedRequest(model="x", inputs=("hi",)),
    ):
        assert not has_images(request)
        assert Pictures().seen(request) is request
