"""Pictures as the window has them: taken from files and other programs, and made small.

What comes from outside is decoded by ``models.images`` alone, never by Qt, and one at a time:
it takes memory.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QMimeData, QRect, Qt
from PySide6.QtGui import QImage

from models.chat import Image, KeptFile
from models.errors import InvalidRequest
from models.images import LONGEST_SIDE, MOST_BYTES, read_picture

# For the dialog, and for files that are pasted; what is in them is looked at later.
SUFFIXES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif")
PASTED = "pasted picture"

_reading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture that can be sent, and what is shown of it."""

    image: Image
    small: QImage


def taken_from(path: Path, side: int) -> Taken:
    """Read a picture's file. Raises InvalidRequest, OSError."""
    size = path.stat().st_size
    if size > MOST_BYTES and path.is_file():
        raise InvalidRequest(
            f"{path.name} has {size:,} bytes, and {MOST_BYTES:,} are the most: take a smaller one."
        )
    try:
        return _taken(path.read_bytes(), path.name, side)
    except InvalidRequest as error:
        raise InvalidRequest(f"{path.name}: {error}") from None


def taken(image: QImage, side: int) -> Taken:
    """Take what another program has put on the clipboard, or has dropped. Raises InvalidRequest."""
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    if not image.save(buffer, "PNG"):  # pyright: ignore[reportCallIssue, reportArgumentType] (Qt's bytes)
        raise InvalidRequest("The picture that was pasted is empty.")
    return _taken(bytes(buffer.data().data()), PASTED, side)


def _taken(data: bytes, name: str, side: int) -> Taken:
    whole = _read(data, LONGEST_SIDE)  # as the model will see it: what it refuses is told now
    return Taken(Image(data, name=name), square(whole, side))


def small(file: bytes | KeptFile, side: int) -> QImage:
    """Return a square out of a picture's middle. Raises InvalidRequest, OSError."""
    return square(_read(file, 2 * side), side)


def large(file: bytes | KeptFile) -> QImage:
    """Return a picture as models see it. Raises InvalidRequest, OSError."""
    return _read(file, LONGEST_SIDE)


def square(image: QImage, side: int) -> QImage:
    scaled = image.scaled(
        side,
        side,
        Qt.AspectRatioMode.KeepAspectRatioByExpanding,
        Qt.TransformationMode.SmoothTransformation,
    )
    x, y = (scaled.width() - side) // 2, (scaled.height() - side) // 2
    return scaled.copy(QRect(x, y, side, side))


def _read(file: bytes | KeptFile, side: int) -> QImage:
    with _reading:
        picture = read_picture(file if isinstance(file, bytes) else file.read(), side)
    return QImage.fromData(picture.png, "PNG")  # pyright: ignore[reportCallIssue, reportArgumentType] (Qt's bytes)


def files_in(mime: QMimeData, *, any_kind: bool) -> Sequence[Path]:
    """Return the files of this computer that are pasted or dropped.

    Unless ``any_kind``, none where one of them is no picture by its name.
    """
    files = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    pictures = all(file.suffix.lower().removeprefix(".") in SUFFIXES for file in files)
    return files if any_kind or pictures else ()


def image_in(mime: QMimeData) -> QImage | None:
    """Return the picture itself; None where there is a text, which is what is meant then.

    Where it comes from the web its address is no such text.
    """
    addresses = {url.toString() for url in mime.urls()}
    if not mime.hasImage() or set(mime.text().split()) - addresses:
        return None
    image = mime.imageData()
    return image if isinstance(image, QImage) and not image.isNull() else None
