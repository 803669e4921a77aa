"""The pictures of requests: fetched where they are on the web, read once, and kept for a while.

All of it may take seconds: it is done on the threads that make prompts.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from models.chat import GenerateRequest, Image, Message, Part, ToolResult
from models.errors import InvalidRequest
from models.images import LONGEST_SIDE, LOW_DETAIL_SIDE, MOST_PICTURES, Picture, read_picture

_KEPT_BYTES = 64 << 20  # of pictures that were read: a chat sends its own again each turn

_P = TypeVar("_P", bound=Part)


@dataclass(frozen=True, slots=True)
class Seen(Image):
    """An image of a request that has been read; ``source`` is empty."""

    picture: Picture = field(kw_only=True)


class Pictures:
    """Reads the pictures of requests. Any thread may call it that may wait."""

    def __init__(self) -> None:
        self._reading = threading.Lock()  # one at a time: it takes memory
        self._lock = threading.Lock()  # protects the two below
        self._kept: OrderedDict[tuple[str, int], Picture] = OrderedDict()  # the latest used last
        self._kept_bytes = 0

    def seen(self, request: GenerateRequest) -> GenerateRequest:
        """Return the request with each ``Image`` as ``Seen``.

        Raises:
            InvalidRequest: one cannot be had or read, or there are too many.
        """
        if isinstance(request.prompt, str):
            return request
        count = sum(1 for _ in images_of(request.prompt))
        if count > MOST_PICTURES:
            raise InvalidRequest(
                f"The request has {count} pictures, and {MOST_PICTURES} are the most: leave some "
                "out."
            )
        if not count:
            return request
        return replace(request, prompt=tuple(map(self._message, request.prompt)))

    def read(self, image: Image) -> Picture:
        """Return the picture that an image is of. Raises InvalidRequest."""
        if isinstance(image.source, str):
            raise InvalidRequest("Pictures from the web are not fetched: send the file itself.")
        side = LOW_DETAIL_SIDE if image.detail == "low" else LONGEST_SIDE
        key = (hashlib.sha256(image.source).hexdigest(), side)
        with self._lock:
            if found := self._kept.get(key):
                self._kept.move_to_end(key)
                return found
        with self._reading:
            picture = read_picture(image.source, side)
        self._keep(key, picture)
        return picture

    def _keep(self, key: tuple[str, int], picture: Picture) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._kept_bytes += len(picture.png)
            while self._kept_bytes > _KEPT_BYTES:
                _, gone = self._kept.popitem(last=False)
                self._kept_bytes -= len(gone.png)

    def _message(self, message: Message) -> Message:
        return replace(message, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: _P) -> _P | Seen | ToolResult:
        match part:
            case Seen():
                return part
            case Image(detail=detail):
                return Seen(b"", detail, picture=self.read(part))
            case ToolResult(parts=parts):
                return replace(part, parts=tuple(map(self._part, parts)))
            case _:
                return part


def images_of(messages: tuple[Message, ...]) -> Iterator[Image]:
    """The images of a chat in their order, those in the results of tools among them."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, Image):
                yield part
            elif isinstance(part, ToolResult):
                yield from (each for each in part.parts if isinstance(each, Image))


def pictures_of(messages: tuple[Message, ...]) -> tuple[Picture, ...]:
    """The pictures of a chat whose images are ``Seen``, in their order."""
    return tuple(each.picture for each in images_of(messages) if isinstance(each, Seen))
