"""Pictures as the wires write them: as base64, as a ``data:`` address, or by where they are."""

import base64
import re

from models.chat import Image
from models.errors import InvalidRequest
from models.images import MOST_BYTES

_PIECE = 1 << 20  # characters; four of them are three bytes
_MOST_CHARACTERS = MOST_BYTES * 3 // 2  # with line ends
_WEB = re.compile(r"https?://", re.IGNORECASE)
_DATA = re.compile(r"data:(?:[^,]{0,200};)?base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,20}:", re.IGNORECASE)  # no base64 has a colon
_STANDARD = bytes.maketrans(b"-_", b"+/")  # the letters that may stand in an address, and those
_SPACES = b" \t\r\n"


def read_image(source: str, name: str) -> Image:
    """Read a picture; ``name`` is the field that it was in. Raises InvalidRequest."""
    if _WEB.match(source):
        return Image(source)
    head = _DATA.match(source)
    if head is None and _ADDRESS.match(source) and not source[:5].lower() == "data:":
        raise InvalidRequest(
            f'"{name}" must be the picture itself, or begin with http:// or https://: nothing '
            "else is opened.",
            field=name,
        )
    return read_base64(source, name, start=head.end() if head else 0)


def read_base64(source: str, name: str, *, start: int = 0) -> Image:
    """Likewise, of what is base64 from ``start`` on."""
    if len(source) - start > _MOST_CHARACTERS:
        raise InvalidRequest(
            f'"{name}" has a picture of more than {MOST_BYTES:,} bytes: send a smaller one.',
            field=name,
        )
    try:
        data = _decoded(source, start)
    except ValueError:
        data = b""
    if not data:
        raise InvalidRequest("invalid image input", field=name)  # Ollama's words
    return Image(data)


def _decoded(encoded: str, start: int) -> bytes:
    """Decode base64 of both alphabets, with line ends, and with padding or without.

    Piece by piece, as every other thread waits while one is decoded. Raises ValueError.
    """
    data = bytearray()
    left = b""
    for place in range(start, len(encoded), _PIECE):
        piece = left + encoded[place : place + _PIECE].encode("ascii").translate(_STANDARD, _SPACES)
        # What may be the end is looked at last.
        whole = max(0, len(piece) - 1) // 4 * 4
        if b"=" in piece[:whole]:
            raise ValueError("it goes on after its end")
        data += base64.b64decode(piece[:whole], validate=True)
        left = piece[whole:]
    return bytes(data + base64.b64decode(left + b"=" * (-len(left) % 4), validate=True))
