"""The pictures of requests: fetched where they are on the web, read once, and kept for a while.

All of it may take seconds: it is done on the threads that make prompts.
"""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias, TypeVar

from models.chat import GenerateRequest, Image, KeptFile, Message, Part, Request, ToolResult
from models.errors import InferenceError, InvalidRequest
from models.images import (
    LONGEST_SIDE,
    LOW_DETAIL_SIDE,
    MOST_PICTURES,
    MOST_PIXELS_TOGETHER,
    Picture,
    read_picture,
)
from models.web_addresses import Allowed

MOST_FETCH_SECONDS = 60.0  # for all the pictures of one request
_KEPT_BYTES = 64 << 20  # of pictures that were read: a chat sends its own again each turn
_FETCHED_KEPT_SECONDS = 300.0  # what an address gives may change

NOWHERE = Allowed()

_P = TypeVar("_P", bound=Part)
_Request = TypeVar("_Request", bound=Request)


@dataclass(frozen=True, slots=True)
class Seen(Image):
    """An image of a request that has been read; ``source`` is empty."""

    picture: Picture = field(kw_only=True)


class Pictures:
    """Reads the pictures of requests. Any thread may call it that may wait.

    ``allowed`` is where they may be fetched from beside the public web.
    """

    def __init__(self, allowed: Allowed = NOWHERE) -> None:
        self.allowed = allowed
        self._reading = threading.Lock()  # one at a time: it takes memory
        self._lock = threading.Lock()  # protects the two below
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()  # the latest used last
        self._kept_bytes = 0

    def seen(self, request: _Request, wanted: Callable[[], bool] = lambda: True) -> _Request:
        """Return the request with each ``Image`` as ``Seen``.

        Raises:
            InvalidRequest: one cannot be had or read, or there are too many.
            InferenceError: it is not ``wanted`` any more.
        """
        if not isinstance(request, GenerateRequest) or isinstance(request.prompt, str):
            return request
        images = list(images_of(request.prompt))
        count = len(images)
        if count > MOST_PICTURES:
            raise InvalidRequest(
                f"The request has {count} pictures, and {MOST_PICTURES} are the most: leave some "
                "out."
            )
        if not count:
            return request
        ends = time.monotonic() + MOST_FETCH_SECONDS
        read: dict[Image, Picture] = {}
        pixels = 0
        for place, image in enumerate(images, 1):
            if not wanted():
                raise InferenceError("The request was cancelled.")
            if image not in read:
                read[image] = self._numbered(image, ends, place, count)
            pixels += read[image].width * read[image].height
            if pixels > MOST_PIXELS_TOGETHER:
                raise InvalidRequest(
                    f"The pictures of the request have more pixels than {MOST_PIXELS_TOGETHER:,} "
                    "together: leave some out, or make them smaller."
                )
        return replace(request, prompt=tuple(_with(read, each) for each in request.prompt))

    def _numbered(self, image: Image, ends: float, place: int, count: int) -> Picture:
        """Say of several which it is that cannot be read."""
        try:
            return self._read(image, ends)
        except InvalidRequest as error:
            if count == 1:
                raise
            raise InvalidRequest(f"Picture {place} of {count}: {error}") from None

    def _read(self, image: Image, ends: float) -> Picture:
        if isinstance(image, Seen):
            return image.picture
        side = LOW_DETAIL_SIDE if image.detail == "low" else LONGEST_SIDE
        source = image.source
        key = (hashlib.sha256(source).digest() if isinstance(source, bytes) else source, side)
        if found := self._found(key):
            return found
        data = self._file(image, ends)
        with self._reading:
            picture = read_picture(data, side)
        self._keep(key, picture)
        return picture

    def _file(self, image: Image, ends: float) -> bytes:
        match image.source:
            case str(address):
                return self._fetched(address, ends)
            case bytes(data):
                return data
            case KeptFile() as kept:
                try:
                    return kept.read()
                except OSError:
                    raise InvalidRequest(
                        f"The picture {image.name or kept.path.name} is gone from the disk: take "
                        "it up again."
                    ) from None

    def _fetched(self, address: str, ends: float) -> bytes:
        from models.picture_fetch import MOST_SECONDS, fetch  # noqa: PLC0415 (an HTTP client)

        left = ends - time.monotonic()
        if left <= 0:
            raise InvalidRequest(
                f"The pictures do not come within {MOST_FETCH_SECONDS:.0f} seconds: send the "
                "files themselves."
            )
        return fetch(address, self.allowed, min(MOST_SECONDS, left))

    def _found(self, key: "_Key") -> Picture | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or time.monotonic() > found.until:
                return None
            self._kept.move_to_end(key)
            return found.picture

    def _keep(self, key: "_Key", picture: Picture) -> None:
        fetched = isinstance(key[0], str)
        until = time.monotonic() + _FETCHED_KEPT_SECONDS if fetched else math.inf
        with self._lock:
            if was := self._kept.pop(key, None):
                self._kept_bytes -= len(was.picture.png)
            self._kept[key] = _Kept(picture, until)
            self._kept_bytes += len(picture.png)
            while self._kept_bytes > _KEPT_BYTES:
                _, gone = self._kept.popitem(last=False)
                self._kept_bytes -= len(gone.picture.png)


# An address, a file's digest, or a file that does not change; and the longest side.
_Key: TypeAlias = tuple[str | bytes | KeptFile, int]


class _Kept(NamedTuple):
    picture: Picture
    until: float  # by the monotonic clock


def _with(read: Mapping[Image, Picture], message: Message) -> Message:
    def part(each: _P) -> _P | Seen | ToolResult:
        match each:
            case Image(detail=detail):
                return Seen(b"", detail, picture=read[each])
            case ToolResult(parts=parts):
                return replace(each, parts=tuple(map(part, parts)))
            case _:
                return each

    return replace(message, parts=tuple(map(part, message.parts)))


def has_images(request: Request) -> bool:
    """Whether there are pictures in what is asked."""
    if not isinstance(request, GenerateRequest) or isinstance(request.prompt, str):
        return False
    return any(True for _ in images_of(request.prompt))


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
