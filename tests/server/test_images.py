"""A picture is read from every way in which a client may write it."""

import base64

import pytest

from models.chat import Image
from models.errors import InvalidRequest
from models.images import MOST_BYTES
from server.images import read_image

PICTURE = bytes(range(256)) * 5000
STANDARD = base64.b64encode(PICTURE).decode()
LINES = base64.encodebytes(PICTURE).decode()


@pytest.mark.parametrize(
    "written",
    [
        STANDARD,
        STANDARD.rstrip("="),
        LINES,
        LINES.replace("\n", "\r\n"),
        f"  {STANDARD}\n",
        base64.urlsafe_b64encode(PICTURE).decode(),
        base64.urlsafe_b64encode(PICTURE).decode().rstrip("="),
        f"data:image/png;base64,{STANDARD}",
        f"data:;base64,{STANDARD}",
        f"data:base64,{STANDARD}",
        f"DATA:image/jpeg;charset=utf-8;BASE64,{LINES}",
    ],
    ids=lambda written: repr(written[:30]),
)
def test_the_picture_itself(written: str):
    assert read_image(written, "image") == Image(PICTURE)


@pytest.mark.parametrize("written", ["http://a.example/b.png", "HTTPS://a.example/b?c=d,e#f"])
def test_an_address(written: str):
    assert read_image(written, "image") == Image(written)


@pytest.mark.parametrize(
    "written",
    ["", "!", "abcde", "ab=cd", "ab==cd==", "a" * (1 << 20) + "=" + "a" * 100, "é" * 8, "a.png",
     "data:", "data:image/png,x", "data:image/png;base64,", "data:image/png;base64,!!!",
     "data:image/svg+xml;utf8,<svg/>", "../a.png"],
    ids=lambda written: repr(written[:30]),
)  # fmt: skip
def test_what_is_neither(written: str):
    with pytest.raises(InvalidRequest, match="invalid image input") as caught:
        read_image(written, "image")

    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "written", ["file:///etc/passwd", "ftp://a/b", "blob:http://a/b", "C:\\b.png", "http:/a"]
)
def test_what_else_could_be_opened_is_not(written: str):
    with pytest.raises(InvalidRequest, match="nothing else is opened"):
        read_image(written, "image")


def test_more_than_a_picture_may_have_is_not_even_decoded():
    with pytest.raises(InvalidRequest, match=f"more than {MOST_BYTES:,} bytes"):
        read_image("A" * (MOST_BYTES * 2), "image")
