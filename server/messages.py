"""The content of a chat message: a string, or a list of parts that are text."""

from models.errors import InvalidRequest
from server.fields import Fields

_LATER = ("image_url", "input_image", "image", "input_audio", "file")


def read_content(message: Fields) -> str | None:
    """Return the text of ``content``; None: there is none.

    Raises:
        InvalidRequest: there are parts that are no text.
    """
    value = message.value("content")
    if not isinstance(value, list):
        if value is not None and not isinstance(value, str):
            raise message.wrong("content", "a string or a list of parts", value)
        return message.text("content")
    return "".join(_part_text(part) for part in message.objects("content") or ())


def refuse_unless_empty(fields: Fields, *names: str) -> None:
    """Raise InvalidRequest for a list that says something: these lists come in a later version."""
    for name in names:
        if fields.list(name):
            raise fields.not_yet(name)


def _part_text(part: Fields) -> str:
    kind = part.text("type")
    if kind in _LATER:
        name = part.name("type")
        raise InvalidRequest(f'"{name}" {kind!r} is not supported yet: only text is.', field=name)
    if kind is None:
        raise part.missing("type")
    if kind != "text":
        name = part.name("type")
        raise InvalidRequest(f"\"{name}\" must be 'text', not {kind[:40]!r}.", field=name)
    text = part.text("text")
    if text is None:
        raise part.missing("text")
    return text
