"""A GGUF file with fewer bits a weight, as llama.cpp's own tool makes it of one with 16 or 32.

Which tensor becomes what follows llama.cpp (src/llama-quant.cpp) for the kinds that are offered;
the numbers are made by its library, in a child process.
"""

import json
import mmap
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from models import gguf
from models.disk import room_needed
from models.errors import InvalidRequest, LoadFailed
from models.gguf_entries import TensorEntry, entries, string, tensors
from models.hub_progress import PullProgress
from models.worker import PYTHON, Command

_WORKER = Path(__file__).with_name("quantize_worker.py")

_F32, _F16, _Q5_0, _Q8_0, _Q4_K, _Q5_K, _Q6_K, _BF16 = 0, 1, 6, 8, 12, 13, 14, 30
_BLOCKS = {_F32: (1, 4), _F16: (1, 2), _Q5_0: (32, 22), _Q8_0: (32, 34), _BF16: (1, 2)} | {
    _Q4_K: (256, 144), _Q5_K: (256, 176), _Q6_K: (256, 210)
}  # fmt: skip  # elements, and their bytes
# Where a row is no multiple of 256.
_NARROW = {_Q4_K: _Q5_0, _Q5_K: _Q8_0, _Q6_K: _Q8_0}
_NAMES = {_F32: "F32", _F16: "F16", _BF16: "BF16"}
# What each is called, what most of it is, and llama_ftype's number of it (include/llama.h).
_FILE_TYPES = {
    "F32": (_F32, 0),
    "F16": (_F16, 1),
    "Q8_0": (_Q8_0, 7),
    "Q4_K_S": (_Q4_K, 14),
    "Q4_K_M": (_Q4_K, 15),
}
# Small, and much lost with their bits.
_KEPT = (
    "_norm.weight",
    "ffn_gate_inp",
    "position_embd",
    "token_types",
    "pos_embd",
    "ssm_conv1d",
    "shortconv.conv",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "time_mix_",
    "attn_rel_b",
)
_U32 = 4
_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class _Converted:
    tensor: TensorEntry
    kind: int
    offset: int  # in the data of the new file

    @property
    def size_bytes(self) -> int:
        elements, size = _BLOCKS[self.kind]
        return prod(self.tensor.shape) // elements * size


def quantize(
    source: Path,
    target: Path,
    quantization: str,
    on_progress: Callable[[PullProgress], None],
    *,
    command: Command = PYTHON,
) -> None:
    """Write ``target``, anew.

    Raises:
        InvalidRequest: the source is quantised already.
        LoadFailed: it cannot be read, or llama.cpp does not do it here.
        DiskFull
    """
    was = _check(source)
    usual, file_type = _FILE_TYPES[quantization]
    with room_needed(), source.open("rb") as file, target.open("wb") as written:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            table, end = tensors(raw)
            kinds = _Kinds(table, usual, medium=quantization.endswith("_M"))
            converted = list(_laid_out(table, kinds))
            header = _header(raw, converted, file_type)
            start = -(-end // _alignment(source)) * _alignment(source)
        written.write(header)
        written.truncate(len(header) + (converted[-1].offset + _padded(converted[-1].size_bytes)))
    plan = {
        "source": str(source),
        "target": str(target),
        "tensors": [
            {
                "from": start + each.tensor.offset,
                "kind": each.tensor.kind,
                "to": len(header) + each.offset,
                "as": each.kind,
                "rows": prod(each.tensor.shape[1:]),
                "width": each.tensor.shape[0],
            }
            for each in converted
        ],
    }
    status = f"quantizing {was} model to {quantization}"
    _run(plan, command, lambda done: on_progress(_progress(status, done, source)))


def _progress(status: str, done: int, source: Path) -> PullProgress:
    return PullProgress(status, source.name, done, source.stat().st_size)


def _check(source: Path) -> str:
    """Return what the source's weights are. Raises InvalidRequest, LoadFailed."""
    names = {each.type_name for each in gguf.read(source).tensors}
    if not names or not names <= set(_NAMES.values()) or len(gguf.shards(source)) > 1:
        raise InvalidRequest(
            "quantization is only supported for F16 and F32 models", field="quantize"
        )
    return next((each for each in ("F16", "BF16") if each in names), "F32")


def _alignment(source: Path) -> int:
    said = gguf.read(source).metadata.get("general.alignment", _ALIGNMENT)
    return said if isinstance(said, int) else _ALIGNMENT


class _Kinds:
    """What each tensor becomes: some of the layers keep more bits than most."""

    def __init__(self, table: Sequence[TensorEntry], usual: int, *, medium: bool) -> None:
        self._usual = usual
        self._medium = medium
        self._layers = sum(each.name.endswith("ffn_down.weight") for each in table)
        self._values = sum(_is_value(each.name) for each in table)
        self._tied = not any(each.name == "output.weight" for each in table)

    def of(self, tensor: TensorEntry) -> int:
        name = tensor.name
        if not name.endswith("weight") or any(part in name for part in _KEPT):
            return tensor.kind
        if prod(tensor.shape[1:]) == 1:
            return tensor.kind
        kind = self._usual
        if kind == _Q4_K:
            kind = self._of_k(name)
        elements, _ = _BLOCKS[kind]
        width = tensor.shape[0]
        if width % elements:
            kind = _NARROW.get(kind, _F16)
            elements, _ = _BLOCKS[kind]
        return kind if width % elements == 0 else _F16

    def _of_k(self, name: str) -> int:
        if name == "output.weight" or (self._tied and name == "token_embd.weight"):
            return _Q6_K
        layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
        if _is_value(name):
            if self._medium:
                return _Q6_K if _more_bits(layer, self._values) else _Q4_K
            return _Q5_K if layer < 4 else _Q4_K  # noqa: PLR2004 - as llama.cpp has it
        if name.endswith("ffn_down.weight"):
            if self._medium:
                return _Q6_K if _more_bits(layer, self._layers) else _Q4_K
            return _Q5_K if layer < self._layers // 8 else _Q4_K
        if name.endswith("attn_qkv.weight") and self._medium:
            return _Q5_K
        return _Q4_K


def _is_value(name: str) -> bool:
    return name.endswith("attn_v.weight")


def _more_bits(layer: int, layers: int) -> bool:
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2  # noqa: PLR2004


def _laid_out(table: Sequence[TensorEntry], kinds: _Kinds) -> Iterator[_Converted]:
    offset = 0
    for tensor in table:
        found = _Converted(tensor, kinds.of(tensor), offset)
        yield found
        offset += _padded(found.size_bytes)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _header(raw: mmap.mmap, converted: Sequence[_Converted], file_type: int) -> bytes:
    ours = {"general.file_type": file_type, "general.quantization_version": 2}
    ours["general.alignment"] = _ALIGNMENT
    said = [bytes(raw[each.start : each.end]) for each in entries(raw) if each.key not in ours]
    said += [string(key) + struct.pack("<II", _U32, each) for key, each in ours.items()]
    table = [
        string(each.tensor.name)
        + struct.pack("<I", len(each.tensor.shape))
        + struct.pack(f"<{len(each.tensor.shape)}Q", *each.tensor.shape)
        + struct.pack("<IQ", each.kind, each.offset)
        for each in converted
    ]
    start = b"GGUF" + struct.pack("<IQQ", 3, len(table), len(said))
    header = b"".join([start, *said, *table])
    return header + bytes(-len(header) % _ALIGNMENT)


def _run(plan: dict[str, Any], command: Command, on_done: Callable[[int], None]) -> None:
    """Raises LoadFailed."""
    child = subprocess.Popen(
        [*command, str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is meant for us alone
    )
    assert child.stdin and child.stdout
    done = 0
    try:
        with suppress(BrokenPipeError), child.stdin as pipe:  # it may have ended already
            pipe.write(json.dumps(plan).encode() + b"\n")
        for line in child.stdout:
            said = json.loads(line)
            if "error" in said:
                raise LoadFailed(f"The model cannot be quantised here: {said['error']}.")
            done += said["done"]
            on_done(done)
    finally:
        child.kill()
        child.stdout.close()
        child.wait()
    sizes = (each["rows"] * each["width"] * _BLOCKS[each["kind"]][1] for each in plan["tensors"])
    if done < sum(sizes):
        raise LoadFailed("The model cannot be quantised here: llama.cpp has ended over it.")
