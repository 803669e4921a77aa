"""LoRA adapters with random weights, for ``pocket`` and for what resembles it."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH = 192  # of pocket
_RANK = 4


def write_gguf(path: Path, *, width: int = WIDTH, strength: float = 1.0, ends: str = "ab") -> Path:
    """``ends``: of "a" and "b", the matrices that it has."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    a, b = _matrices(width, strength)
    for end, matrix in (("a", a), ("b", b)):
        if end in ends:
            writer.add_tensor(f"blk.0.attn_q.weight.lora_{end}", matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_mlx(
    folder: Path, *, width: int = WIDTH, strength: float = 1.0, name: str = "self_attn.q_proj"
) -> Path:
    """``name``: of the matrices that it is added to. Whoever trains it drops half of it."""
    folder.mkdir()
    keys = {"rank": _RANK, "scale": 2.0, "dropout": 0.5, "keys": ["self_attn.q_proj"]}
    config = {"fine_tune_type": "lora", "num_layers": 6, "lora_parameters": keys}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    a, b = _matrices(width, strength)
    tensors = {
        f"model.layers.0.{name}.lora_a": np.ascontiguousarray(a.T),
        f"model.layers.0.{name}.lora_b": np.ascontiguousarray(b.T),
    }
    _save(tensors, folder / "adapters.safetensors")
    return folder


def _matrices(width: int, strength: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    draws = np.random.default_rng(0)
    a = draws.standard_normal((_RANK, width), dtype=np.float32)
    b = draws.standard_normal((width, _RANK), dtype=np.float32)
    return a, b * np.float32(strength)


def _save(tensors: dict[str, NDArray[np.float32]], path: Path) -> None:
    header: dict[str, Any] = {}
    content = b""
    for name, tensor in tensors.items():
        raw = tensor.tobytes()
        place = [len(content), len(content) + len(raw)]
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": place}
        content += raw
    told = json.dumps(header).encode()
    path.write_bytes(len(told).to_bytes(8, "little") + told + content)
