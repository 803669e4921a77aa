"""The content of a chat message: a string, or a list of parts that are text or pictures."""

import base64

from models.chat import Image, Text
from models.errors import InvalidRequest
from server.fields import Fields

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES = ("image_url", "input_image")
_PIECE = 1 << 20  # characters; four of them are three bytes
_LATER = ("input_audio", "file", "video_url")


def read_content(message: Fields) -> tuple[Text | Image, ...] | None:
    """Return the parts of ``content``; None: there is none.

    Raises:
        InvalidRequest: there are parts that are neither text nor pictures.
    """
    value = message.value("content")
    if isinstance(value, list):
        return tuple(_part(each) for each in message.objects("content") or ())
    if value is not None and not isinstance(value, str):
        raise message.wrong("content", "a string or a list of parts", value)
    return None if value is None else (Text(value),)


def read_image(source: str, name: str) -> Image:
    """Read a picture given as base64, as a ``data:`` address, or by where it is on the web.

    ``name`` is the field that it was in. Raises InvalidRequest.
    """
    if source.startswith(("http://", "https://")):
        return Image(source)
    head, _, encoded = source.partition(",") if source.startswith("data:") else ("", "", source)
    if not encoded or (head and not head.endswith(";base64")):
        raise InvalidRequest("invalid image input", field=name)  # Ollama's words
    try:
        return Image(_decoded(encoded))
    except ValueError:
        raise InvalidRequest("invalid image input", field=name) from None


def _decoded(encoded: str) -> bytes:
    """Decode base64, of which programs for the terminal make lines.

    Piece by piece, as every other thread waits while one is decoded. Raises ValueError.
    """
    encoded = encoded.replace("\n", "").replace("\r", "")
    data = bytearray()
    for start in range(0, len(encoded), _PIECE):
        if data and encoded[start - 1] == "=":
            raise ValueError("it goes on after its end")
        data += base64.b64decode(encoded[start : start + _PIECE], validate=True)
    return bytes(data)


def _part(part: Fields) -> Text | Image:
    kind = part.required_text("type")
    if kind in _TEXTS:
        return Text(part.required_text(_TEXTS[kind]))
    if kind in _IMAGES:
        return _image(part)
    name = part.name("type")
    if kind in _LATER:
        raise InvalidRequest(
            f'"{name}" {kind!r} is not supported yet: only text and pictures are.', field=name
        )
    raise InvalidRequest(
        f"\"{name}\" must be 'text' or 'image_url', not {kind[:40]!r}.", field=name
    )


def _image(part: Fields) -> Image:
    """Both ways in use: the address in an object of its own, or as it stands."""
    if isinstance(part.value("image_url"), str):
        return read_image(part.required_text("image_url"), part.name("image_url"))
    inner = part.inner("image_url")
    if inner is None:
        raise part.missing("image_url")
    address = inner.required_text("url")
    if not address.startswith(("http://", "https://", "data:")):
        raise InvalidRequest("invalid image input", field=inner.name("url"))
    return read_image(address, inner.name("url"))
