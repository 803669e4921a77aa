"""Writes GGUF files for tests: right ones, and such as nobody should believe."""

import struct
from collections.abc import Mapping
from pathlib import Path

STRING, ARRAY = 8, 9
U32, I32, F32, U64 = 4, 5, 6, 10

# A model of two layers whose one tensor has 64 numbers of 4 bytes.
TINY = {
    "general.architecture": "tiny",
    "general.file_type": 0,
    "tiny.block_count": 2,
    "tiny.context_length": 512,
    "tiny.embedding_length": 64,
    "tiny.attention.head_count": 4,
}


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(it: object) -> bytes:
    match it:
        case bool():
            return struct.pack("<I?", 7, it)
        case int():
            return struct.pack("<IQ", U64, it) if it >= 0 else struct.pack("<Ii", I32, it)
        case float():
            return struct.pack("<If", F32, it)
        case str():
            return struct.pack("<I", STRING) + string(it)
        case [str(), *_]:
            return struct.pack("<IIQ", ARRAY, STRING, len(it)) + b"".join(map(string, it))
        case list():
            return struct.pack(f"<IIQ{len(it)}i", ARRAY, I32, len(it), *it)
        case bytes():  # as it stands
            return it
        case _:
            raise TypeError(it)


def gguf_bytes(
    metadata: Mapping[str, object],
    *,
    version: int = 3,
    tensors: int = 1,
    shape: tuple[int, ...] = (64,),
    kind: int = 0,
    data: bytes = bytes(256),
) -> bytes:
    """``tensors`` tensors of one shape and type, all of them at the start of ``data``."""
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, len(metadata))
    for key, each in metadata.items():
        header += string(key) + value(each)
    for number in range(tensors):
        header += string(f"tensor.{number}")
        header += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)
    return header + bytes(-len(header) % 32) + data


def changed(source: Path, target: Path, entries: Mapping[str, object]) -> Path:
    """Copy a GGUF file with some of its entries replaced or added."""
    raw = source.read_bytes()
    _, _, tensors, count = struct.unpack_from("<4sIQQ", raw)
    at, kept = 24, b""
    for _ in range(count):
        start = at
        at = _after(raw, at, STRING)
        key = raw[start + 8 : at].decode()
        (kind,) = struct.unpack_from("<I", raw, at)
        at = _after(raw, at + 4, kind)
        if key in entries:
            count -= 1
        else:
            kept += raw[start:at]
    infos = at
    for _ in range(tensors):
        at = _after(raw, at, STRING)
        at += 4 + 8 * struct.unpack_from("<I", raw, at)[0] + 4 + 8
    added = b"".join(string(key) + value(each) for key, each in entries.items())
    header = struct.pack("<4sIQQ", b"GGUF", 3, tensors, count + len(entries)) + kept + added
    header += raw[infos:at]
    target.write_bytes(header + bytes(-len(header) % 32) + raw[-(-at // 32) * 32 :])
    return target


def _after(raw: bytes, at: int, kind: int) -> int:
    if kind == STRING:
        return at + 8 + struct.unpack_from("<Q", raw, at)[0]
    if kind != ARRAY:
        return at + {0: 1, 1: 1, 2: 2, 3: 2, 7: 1, 10: 8, 11: 8, 12: 8}.get(kind, 4)
    inner, length = struct.unpack_from("<IQ", raw, at)
    at += 12
    for _ in range(length):
        at = _after(raw, at, inner)
    return at
