"""Writes a GGUF file that has the vocabulary of another, and next to no model.

llama.cpp makes a tokenizer of the ``tokenizer.*`` entries of a file, which are copied byte for
byte; beside them are one layer, 32 wide, of zeros that take no room on the disk.
"""

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from models import atomic, gguf
from models.errors import LoadFailed
from models.gguf_entries import entries, string

_STRING, _U32, _F32 = 8, 4, 6
_WIDTH = 32
_ALIGNMENT = 32
_NUMBERS = {
    "llama.block_count": 1,
    "llama.context_length": 256,
    "llama.embedding_length": _WIDTH,
    "llama.feed_forward_length": _WIDTH,
    "llama.attention.head_count": 1,
    "llama.attention.head_count_kv": 1,
    "llama.rope.dimension_count": _WIDTH,
}
_SQUARE = (_WIDTH, _WIDTH)
_LAYER: Mapping[str, tuple[int, ...]] = {
    "output_norm.weight": (_WIDTH,),
    "blk.0.attn_norm.weight": (_WIDTH,),
    "blk.0.attn_q.weight": _SQUARE,
    "blk.0.attn_k.weight": _SQUARE,
    "blk.0.attn_v.weight": _SQUARE,
    "blk.0.attn_output.weight": _SQUARE,
    "blk.0.ffn_norm.weight": (_WIDTH,),
    "blk.0.ffn_gate.weight": _SQUARE,
    "blk.0.ffn_up.weight": _SQUARE,
    "blk.0.ffn_down.weight": _SQUARE,
}


def write_vocabulary(source: Path, target: Path) -> None:
    """Write the vocabulary of the GGUF file ``source`` to ``target``, whole or not at all.

    Raises:
        LoadFailed: the source is no GGUF file, or has no vocabulary, or the disk is full.
    """
    tokens = gguf.read(source).metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, gguf.LongArray):
        raise LoadFailed(f"{source.name} has no vocabulary: its tokens cannot be counted.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = atomic.temporary_beside(target)
    try:
        with source.open("rb") as file, temporary.open("wb") as written:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                copied = [
                    bytes(raw[each.start : each.end])
                    for each in entries(raw)
                    # What the chat template says does not matter to a tokenizer.
                    if each.key.startswith("tokenizer.ggml.")
                ]
            header, data_bytes = _header(copied, tokens.length)
            written.write(header)
            written.truncate(len(header) + data_bytes)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise LoadFailed(f"{target.name} cannot be written: {error.strerror}.") from None


def _header(copied: list[bytes], vocabulary_size: int) -> tuple[bytes, int]:
    """Return the header, padded to where the data begins, and the bytes of the data."""
    said = [string("general.architecture") + struct.pack("<I", _STRING) + string("llama")]
    said += [string(key) + struct.pack("<II", _U32, each) for key, each in _NUMBERS.items()]
    epsilon = "llama.attention.layer_norm_rms_epsilon"
    said.append(string(epsilon) + struct.pack("<If", _F32, 1e-5))
    said += copied
    shapes = {"token_embd.weight": (_WIDTH, vocabulary_size), **_LAYER}
    tensors: list[bytes] = []
    offset = 0
    for name, shape in shapes.items():
        tensors.append(string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        tensors.append(struct.pack("<IQ", 0, offset))  # F32, which norms must be
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        offset += -(-4 * count // _ALIGNMENT) * _ALIGNMENT
    start = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(said))
    header = b"".join([start, *said, *tensors])
    return header + bytes(-len(header) % _ALIGNMENT), offset
