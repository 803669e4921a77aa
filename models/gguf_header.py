"""The bytes of a GGUF header: metadata and the table of tensors.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Versions 2 and 3,
little-endian. Files come from people we do not know: every count and length is held
against the bytes that are there before anything is read or kept.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, TypeAlias

# Far above anything published, and low enough to be read in seconds.
_LONGEST_HEADER = 128 << 20  # bytes; one with a vocabulary of 260,000 has some 20 million
_MOST_KEYS = 100_000
_MOST_TENSORS = 1_000_000
_LONGEST_STRING = 16 << 20  # bytes; chat templates have some 10,000
_LONGEST_KEPT_ARRAY = 4096  # numbers; per-layer settings have some 100
_MOST_BYTES = 1 << 50  # in a file, or elements in a tensor
_MOST_DIMENSIONS = 4  # GGML_MAX_DIMS
_DEFAULT_ALIGNMENT = 32
_BLOCK_BYTES = 1 << 16  # read at a time where a vocabulary is passed over

STRING, _ARRAY = 8, 9
SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = SCALARS[4], SCALARS[10]

# ggml_type: name, elements a block, bytes a block (ggml/src/ggml.c, type_traits).
_TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
}


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that was passed over: how long it is, and where its first entry lies."""

    length: int
    element_type: int
    offset: int  # bytes from the start of the file
    size_bytes: int
    longest_bytes: int = 0  # of its strings; 0 where it has none


Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | tuple[Scalar, ...] | LongArray


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]  # the fastest-running dimension first
    type_name: str  # "Q4_K"; "type 99" where we do not know it
    end: int  # bytes from the start of the tensor data

    @property
    def element_count(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]


class NotReadable(Exception):
    """Ends a sentence that begins with the file's name."""


_DAMAGED = "is damaged: its header does not make sense"
_CUT_SHORT = "is cut short inside its header: download or copy it again"


class HeaderReader:
    """Reads one open file. Everything raises NotReadable."""

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self._file = file
        self._file_bytes = file_bytes
        self._limit = min(file_bytes, _LONGEST_HEADER)
        self._at = 0

    def header(self) -> Header:
        self._check_version()
        tensor_count = self._count(_MOST_TENSORS)
        key_count = self._count(_MOST_KEYS)
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key = self._string()
            metadata[key] = self._value(self._integer(_U32))
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise NotReadable(_DAMAGED)
        start = -(-self._at // alignment) * alignment
        needed = start + max((tensor.end for tensor in tensors), default=0)
        if needed > self._file_bytes:
            raise NotReadable(
                f"is cut short: it has {self._file_bytes:,} of {needed:,} bytes; "
                "download or copy it again"
            )
        return Header(metadata, tensors)

    def token(self, metadata: Mapping[str, Value], id_key: str) -> str:
        """Return one entry of the vocabulary, found by the key that holds its number."""
        tokens, index = metadata.get("tokenizer.ggml.tokens"), metadata.get(id_key)
        if not isinstance(tokens, LongArray) or tokens.element_type != STRING:
            return ""
        if not isinstance(index, int) or not 0 <= index < tokens.length:
            return ""
        self._seek(tokens.offset)
        self._skip_strings(index)
        return self._string()

    def raw(self, array: LongArray) -> bytes:
        """Return an array as it stands in the file."""
        self._seek(array.offset)
        return self._take(array.size_bytes)

    # -- The parts of a header -----------------------------

    def _check_version(self) -> None:
        if self._file_bytes < _U64.size or self._take(4) != b"GGUF":
            raise NotReadable("is not a GGUF file")
        version = self._integer(_U32)
        if version & 0xFFFF == 0:
            raise NotReadable("is a GGUF file for big-endian computers, which this is not")
        if version == 1:
            raise NotReadable("is in the first GGUF format, of 2023: convert the model again")
        if version not in (2, 3):
            raise NotReadable(f"is in GGUF version {version}, which is not known yet")

    def _value(self, kind: int) -> Value:
        if kind == STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        if kind not in SCALARS:
            raise NotReadable(_DAMAGED)
        return self._number(SCALARS[kind])

    def _array(self) -> Value:
        element_type = self._integer(_U32)
        if element_type == STRING:
            length = self._count(self._limit // _U64.size)
            offset = self._at
            longest = self._skip_strings(length)
            return LongArray(length, element_type, offset, self._at - offset, longest)
        if element_type not in SCALARS:  # llama.cpp knows no arrays of arrays either
            raise NotReadable(_DAMAGED)
        scalar = SCALARS[element_type]
        length = self._count(self._limit // scalar.size)
        if length <= _LONGEST_KEPT_ARRAY:
            return tuple(self._number(scalar) for _ in range(length))
        array = LongArray(length, element_type, self._at, length * scalar.size)
        self._seek(self._at + length * scalar.size)
        return array

    def _tensor(self) -> Tensor:
        name = self._string()
        shape = tuple(self._count(_MOST_BYTES) for _ in range(self._count(_MOST_DIMENSIONS, _U32)))
        kind = self._integer(_U32)
        offset = self._count(_MOST_BYTES)
        if prod(shape) > _MOST_BYTES:
            raise NotReadable(_DAMAGED)
        type_name, block, block_bytes = _TENSOR_TYPES.get(kind, (f"type {kind}", 1, 0))
        return Tensor(name, shape, type_name, offset + prod(shape) // block * block_bytes)

    # -- The parts of those --------------------------------

    def _string(self) -> str:
        length = self._count(_LONGEST_STRING)
        return self._take(length).decode("utf-8", "replace")

    def _skip_strings(self, count: int) -> int:
        """Pass over strings; return how many bytes the longest has."""
        # A vocabulary is the bulk of a header: this loop is what reading one costs.
        unpack, at, longest = _U64.unpack_from, self._at, 0
        block, start = b"", at
        for _ in range(count):
            if at > self._limit - _U64.size:
                raise NotReadable(_DAMAGED)
            if at - start > len(block) - _U64.size:
                self._file.seek(at)
                block, start = self._file.read(_BLOCK_BYTES), at
                if len(block) < _U64.size:  # somebody is writing it
                    raise NotReadable(_CUT_SHORT)
            (length,) = unpack(block, at - start)
            at += _U64.size + length
            if at > self._limit:
                raise NotReadable(_DAMAGED)
            if length > longest:  # noqa: PLR1730  # max() would make the loop half as slow again
                longest = length
        self._seek(at)
        return longest

    def _count(self, most: int, scalar: struct.Struct = _U64) -> int:
        count = self._integer(scalar)
        if count > most:
            raise NotReadable(_DAMAGED)
        return count

    def _integer(self, scalar: struct.Struct) -> int:
        return int(self._number(scalar))

    def _number(self, scalar: struct.Struct) -> float | bool:
        return scalar.unpack(self._take(scalar.size))[0]

    def _take(self, size: int) -> bytes:
        if self._at + size > self._limit:
            raise NotReadable(_DAMAGED if self._limit < self._file_bytes else _CUT_SHORT)
        raw = self._file.read(size)
        if len(raw) < size:  # somebody is writing it
            raise NotReadable(_CUT_SHORT)
        self._at += size
        return raw

    def _seek(self, offset: int) -> None:
        if offset > self._limit:
            raise NotReadable(_DAMAGED)
        self._at = self._file.seek(offset)
