"""Texts that a client carries for us without reading them: thoughts, and shortened conversations.

OpenAI encrypts them, since they are its secrets. Here they are nobody's: whoever asks gets
what the model thought in the same answer. So they are packed, and say whose they are.
"""

import base64
import binascii
import zlib

_MARK = "inglenook1."
_MOST_BYTES = 64 << 20  # a small text may unpack to a huge one


def seal(text: str) -> str:
    packed = zlib.compress(text.encode("utf-8", "replace"))
    return _MARK + base64.urlsafe_b64encode(packed).decode()


def unseal(sealed: str) -> str | None:
    """Return the text; None where it is none of ours, or no longer whole."""
    if not sealed.startswith(_MARK):
        return None
    try:
        packed = base64.urlsafe_b64decode(sealed.removeprefix(_MARK))
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed, _MOST_BYTES)
        return text.decode() if unpacking.eof else None
    except (binascii.Error, zlib.error, ValueError):
        return None
