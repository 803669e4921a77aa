"""The entries of a GGUF header as they lie in the file, to be copied byte for byte.

The file has been read by ``gguf.read``: its lengths hold.
"""

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes
_FIRST = 24  # bytes: magic, version, and two counts


class Entry(NamedTuple):
    key: str
    start: int
    end: int


class TensorEntry(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int  # ggml_type
    offset: int  # bytes from the start of the tensor data


def entries(raw: mmap) -> Iterator[Entry]:
    (count,) = struct.unpack_from("<Q", raw, 16)
    at = _FIRST
    for _ in range(count):
        start, at = at, _after_string(raw, at)
        key = raw[start + 8 : at].decode("utf-8", "replace")
        (kind,) = struct.unpack_from("<I", raw, at)
        at = _after_value(raw, at + 4, kind)
        yield Entry(key, start, at)


def tensors(raw: mmap) -> tuple[list[TensorEntry], int]:
    """Return the table of tensors, and where it ends."""
    (count,) = struct.unpack_from("<Q", raw, 8)
    at = _FIRST
    for entry in entries(raw):
        at = entry.end
    found: list[TensorEntry] = []
    for _ in range(count):
        start, at = at, _after_string(raw, at)
        name = raw[start + 8 : at].decode("utf-8", "replace")
        (dimensions,) = struct.unpack_from("<I", raw, at)
        shape = struct.unpack_from(f"<{dimensions}Q", raw, at + 4)
        kind, offset = struct.unpack_from("<IQ", raw, at + 4 + 8 * dimensions)
        at += 16 + 8 * dimensions
        found.append(TensorEntry(name, shape, kind, offset))
    return found, at


def string(text: str) -> bytes:
    """A text as a GGUF file has it."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _after_value(raw: mmap, at: int, kind: int) -> int:
    if kind == _STRING:
        return _after_string(raw, at)
    if kind != _ARRAY:
        return at + _SIZES[kind]
    inner, length = struct.unpack_from("<IQ", raw, at)
    at += 12
    if inner != _STRING:
        return at + _SIZES[inner] * length
    for _ in range(length):
        at = _after_string(raw, at)
    return at


def _after_string(raw: mmap, at: int) -> int:
    (length,) = struct.unpack_from("<Q", raw, at)
    return at + 8 + length
