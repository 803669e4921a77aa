"""How a model takes in pictures: what stands for one in the text of a prompt, and its tokens."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from models.chat import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest
from models.images import Picture

_HIDDEN = "\u200b"  # put into a user's text that looks like a picture's place


class Sight(Protocol):
    """Of one model. Any thread may call it that may wait."""

    @property
    def marker(self) -> str:
        """What stands for a picture in the prompt's text, once for each."""
        ...

    @property
    def by_template(self) -> bool:
        """Whether the chat template writes the marker for ``{"type": "image"}``, untold.

        Else it is told the marker, if it asks for that; if not, the marker is put into the text
        of the message, where the picture was.
        """
        ...

    def tokens(
        self, pieces: Sequence[str], pictures: Sequence[Picture], tokenizer: Tokenizer
    ) -> list[int]:
        """Return the ids of a prompt, with as many for each picture as it takes up.

        Args:
            pieces: the text round the pictures, one more than there are.

        Raises:
            InvalidRequest: a picture is none that the model can take.
            ModelCrashed
        """
        ...


def with_places(
    messages: tuple[Message, ...], sight: Sight, template: ChatTemplate | None
) -> tuple[tuple[Message, ...], ChatTemplate | None]:
    """Return messages whose texts cannot be taken for a picture's place, and their template.

    Where the template does not write the marker, it stands in them where a picture was.
    """
    by_template = template is not None and template.takes_pictures(known=sight.by_template)
    if template is not None:
        template = template.with_image_token(sight.marker)

    def part(each: Part) -> Part:
        match each:
            case Text(text):
                return Text(_harmless(text, sight.marker))
            case Reasoning(text):
                return Reasoning(_harmless(text, sight.marker))
            case ToolCall(arguments=arguments):
                return replace(each, arguments=_harmless(arguments, sight.marker))
            case ToolResult(parts=parts):
                return replace(each, parts=tuple(map(part, parts)))
            case Image() if not by_template:
                return Text(sight.marker)
            case _:
                return each

    placed = tuple(replace(each, parts=tuple(map(part, each.parts))) for each in messages)
    return placed, template


def pieces_of(text: str, sight: Sight, pictures: Sequence[Picture]) -> tuple[str, ...]:
    """Return the texts round the pictures of a prompt.

    Raises:
        InvalidRequest: the template has left one out, or what it wrote looks like one.
    """
    pieces = tuple(text.split(sight.marker))
    if len(pieces) != len(pictures) + 1:
        raise InvalidRequest(
            f"The model's chat template has places for {len(pieces) - 1} of the "
            f"{len(pictures)} pictures: put them into messages of the user."
        )
    return pieces


def in_parts(
    sight: Sight, pictures: Sequence[Picture], tokenizer: Tokenizer
) -> Callable[[str], list[int]]:
    """Return what tokenises the text of a prompt in parts, one after the other."""
    left = iter(pictures)

    def encode(text: str) -> list[int]:
        pieces = text.split(sight.marker)
        return sight.tokens(pieces, list(islice(left, len(pieces) - 1)), tokenizer)

    return encode


def _harmless(text: str, marker: str) -> str:
    if marker not in text:
        return text
    return text.replace(marker, marker[:1] + _HIDDEN + marker[1:])
