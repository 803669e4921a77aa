"""Pictures that a question names by their paths, as they are typed or dropped on a terminal."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.chat import Image
from models.images import MOST_BYTES

# A path is known by how it begins: "photo.png" alone may be what is talked about.
_BEGIN = re.compile(r"(?<![^\s'\"(\[,])(?:file://)?(?:~?/|\.{1,2}/|[A-Za-z]:[\\/]|\.{1,2}\\|\\\\)")
_END = re.compile(r"\.(?:png|jpe?g|webp|gif|bmp|tiff?|avif)(?![\w/\\])", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")
_PUNCTUATION = ".,;:!?"
_LONGEST = 4096  # characters of a path


@dataclass(frozen=True, slots=True)
class Asked:
    text: str  # without the paths
    images: tuple[Image, ...] = ()


def taken_from(text: str) -> Asked:
    """Take the pictures out of a text. A path without a file behind it is text.

    Raises:
        OSError: one cannot be read.
    """
    images: list[Image] = []
    rest = ""
    at = 0
    while found := _next(text, at):
        begin, end, path = found
        rest = _joined(rest, text[at:begin])
        images.append(Image(_read(path), name=path.name))
        at = end
    return Asked(_joined(rest, text[at:]), tuple(images)) if images else Asked(text)


def _joined(before: str, after: str) -> str:
    """Close the gap that a path leaves."""
    before, after = before.rstrip(), after.strip()
    gap = " " if before and after and after[0] not in _PUNCTUATION else ""
    return f"{before}{gap}{after}"


def _next(text: str, at: int) -> tuple[int, int, Path] | None:
    """Return where the next path begins and ends, quotes included, and the file there."""
    for beginning in _BEGIN.finditer(text, at):
        begin = beginning.start()
        line_end = text.find("\n", begin)
        limit = min(begin + _LONGEST, len(text) if line_end < 0 else line_end)
        for ending in _END.finditer(text, begin, limit):
            end = ending.end()
            for written in _readings(text[begin:end]):
                if path := _file_at(written):
                    quote = text[begin - 1 : begin]
                    if quote in ("'", '"') and text[end : end + 1] == quote:
                        return begin - 1, end + 1, path
                    return begin, end, path
    return None


def _file_at(written: str) -> Path | None:
    try:
        path = Path(written).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # too long for a name, or not ours to look at
        return None


def _readings(written: str) -> Iterator[str]:
    """Yield what may be meant: as it stands, or with backslashes before spaces and the like."""
    plain = written.removeprefix("file://")
    yield plain
    if os.sep == "/" and "\\" in plain:
        yield _ESCAPED.sub(r"\1", plain)


def _read(path: Path) -> bytes:
    """Return its bytes; of what is too large so many that whoever reads it says so."""
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
