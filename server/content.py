"""The content of a chat message: a string, or a list of parts that are text or pictures."""

from dataclasses import replace

from models.chat import Image, Text
from models.errors import InvalidRequest
from server.fields import Fields
from server.images import read_image

_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES = ("image_url", "input_image")
_DETAILS = ("auto", "high", "original")  # all that there is to see, as far as it goes
# What no model here is given, and what may be given instead.
_NEVER = {
    "input_audio": "no model here hears: send text or pictures",
    "audio_url": "no model here hears: send text or pictures",
    "video_url": "no model here sees videos: send some of their pictures",
    "input_video": "no model here sees videos: send some of their pictures",
    "file": "files are not read here: send their text, or pictures of them",
    "input_file": "files are not read here: send their text, or pictures of them",
}


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


def _part(part: Fields) -> Text | Image:
    kind = part.required_text("type")
    if kind in _TEXTS:
        return Text(part.required_text(_TEXTS[kind]))
    if kind in _IMAGES:
        return _image(part)
    refuse_unseen(part, kind)
    name = part.name("type")
    raise InvalidRequest(
        f"\"{name}\" must be 'text' or 'image_url', not {kind[:40]!r}.", field=name
    )


def refuse_unseen(part: Fields, kind: str) -> None:
    """Raises InvalidRequest where a part is a sound, a video or a file."""
    if reason := _NEVER.get(kind):
        name = part.name("type")
        raise InvalidRequest(f'"{name}" {kind!r} is not supported: {reason}.', field=name)


def with_detail(image: Image, fields: Fields) -> Image:
    """Return the image as ``detail`` wants it seen."""
    detail = fields.text("detail")
    if detail == "low":
        return replace(image, detail="low")
    if detail not in (None, *_DETAILS):
        fields.ignore("detail")
    return image


def _image(part: Fields) -> Image:
    """Both ways in use: the address in an object of its own, or as it stands."""
    if isinstance(part.value("image_url"), str):
        image = read_image(part.required_text("image_url"), part.name("image_url"))
        return with_detail(image, part)
    inner = part.inner("image_url")
    if inner is None:
        raise part.missing("image_url")
    return with_detail(read_image(inner.required_text("url"), inner.name("url")), inner)
