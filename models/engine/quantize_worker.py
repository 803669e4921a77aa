"""The child process that quantises tensors, by the functions of llama.cpp's own library.

Run by path, with nothing of ours imported. The parent writes one line of JSON on stdin,

    {"source": PATH, "target": PATH, "tensors":
     [{"from": OFFSET, "kind": N, "to": OFFSET, "as": N, "rows": N, "width": N}…]}

with offsets in bytes and ggml's numbers of types; it gets a line ``{"done": BYTES}`` for each
piece of the source that is written, and ``{"error": TEXT}`` where that cannot be done. When it
is to stop, it is killed.
"""

import ctypes
import importlib.util
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

F32, F16, BF16 = 0, 1, 30
_WIDTHS = {F32: 4, F16: 2, BF16: 2}  # bytes
_PIECE_ELEMENTS = 1 << 22  # quantised at once
_int64 = ctypes.c_int64


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    try:
        library = _library()
        with open(plan["source"], "rb") as source, open(plan["target"], "r+b") as target:
            for tensor in plan["tensors"]:
                _convert(library, source, target, tensor)
    except Exception as error:
        _say({"error": f"{error}"})


def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("xllamacpp")
    folders = found.submodule_search_locations if found else None
    paths = [path for each in folders or () for path in sorted(Path(each).glob("xllamacpp*.*"))]
    shared = [path for path in paths if path.suffix in (".so", ".pyd", ".dylib")]
    if not shared:
        raise OSError("llama.cpp is not installed")
    library = ctypes.CDLL(str(shared[0]))
    pointer = ctypes.c_void_p
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, pointer, pointer, _int64, _int64, _int64, pointer
    ]  # fmt: skip
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, _int64]
    for name in ("ggml_fp16_to_fp32_row", "ggml_bf16_to_fp32_row", "ggml_fp32_to_fp16_row"):
        getattr(library, name).restype = None
        getattr(library, name).argtypes = [pointer, pointer, _int64]
    return library


def _convert(
    library: ctypes.CDLL, source: BinaryIO, target: BinaryIO, tensor: dict[str, Any]
) -> None:
    """Write one tensor as another type, some rows at a time on every core."""
    width, kind, wanted = tensor["width"], tensor["kind"], tensor["as"]
    row_bytes = width * _WIDTHS[kind]
    out_bytes = library.ggml_row_size(wanted, width)
    threads = os.cpu_count() or 1
    rows_at_once = max(1, _PIECE_ELEMENTS // width)
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, tensor["rows"], rows_at_once):
            rows = min(rows_at_once, tensor["rows"] - first)
            source.seek(tensor["from"] + first * row_bytes)
            raw = source.read(rows * row_bytes)
            if len(raw) < rows * row_bytes:
                raise OSError("the file is cut short")
            share = -(-rows // threads)
            step = share * row_bytes
            pieces = [raw[at : at + step] for at in range(0, len(raw), step)]
            made = pool.map(partial(_made, library, kind, wanted, width), pieces)
            target.seek(tensor["to"] + first * out_bytes)
            for each in made:
                target.write(each)
            _say({"done": len(raw)})


def _made(library: ctypes.CDLL, kind: int, wanted: int, width: int, raw: bytes) -> bytes:
    if kind == wanted:
        return raw
    count = len(raw) // _WIDTHS[kind]
    floats = (ctypes.c_float * count)()
    if kind == F32:
        ctypes.memmove(floats, raw, len(raw))
    else:
        name = "ggml_fp16_to_fp32_row" if kind == F16 else "ggml_bf16_to_fp32_row"
        getattr(library, name)(raw, floats, count)
    if wanted == F32:
        return bytes(floats)
    rows = count // width
    written = ctypes.create_string_buffer(rows * library.ggml_row_size(wanted, width))
    if wanted == F16:
        library.ggml_fp32_to_fp16_row(floats, written, count)
    else:
        library.ggml_quantize_chunk(wanted, floats, written, 0, rows, width, None)
    return written.raw


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
