"""Reads the headers of safetensors files: names, shapes and types of tensors, no weights.

The format: https://github.com/huggingface/safetensors#format. As with GGUF, the file is
held against what its header says before anything is believed.
"""

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

from models.errors import LoadFailed

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # bytes: the format's own limit


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type_name: str  # "F16", "BF16", "U32"

    @property
    def element_count(self) -> int:
        return prod(self.shape)


def read(path: Path) -> list[Tensor]:
    """Read the header of one file, and check that its tensors are all there.

    Raises:
        LoadFailed: it is no safetensors file, or is damaged, or cut short.
    """
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_LENGTH.size)
            length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else file_bytes
            if length > min(file_bytes - _LENGTH.size, _LONGEST_HEADER):
                raise LoadFailed(f"{path.name} is not a safetensors file, or is cut short.")
            raw = file.read(length)
        header = cast("dict[str, Any]", json.loads(raw))
        entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for _, entry in entries), default=0)
        tensors = [Tensor(name, _shape(entry), str(entry["dtype"])) for name, entry in entries]
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be read: {error.strerror}.") from None
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, RecursionError):
        raise LoadFailed(f"{path.name} is damaged: its header does not make sense.") from None
    needed = _LENGTH.size + length + end
    if needed > file_bytes:
        raise LoadFailed(
            f"{path.name} is cut short: it has {file_bytes:,} of {needed:,} bytes; "
            "download or copy it again."
        )
    return tensors


def _shape(entry: dict[str, Any]) -> tuple[int, ...]:
    shape = tuple(entry["shape"])
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(shape)
    return shape
