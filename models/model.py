"""One installed model: what it is, where its files are, what it needs."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from models.names import ModelName


class Kind(StrEnum):
    """What runs a model."""

    MLX = "mlx"  # a folder: config.json and safetensors
    LLAMA = "llama"  # a GGUF file


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Facts that the files themselves tell, read once when the model is added."""

    architecture: str  # "qwen3", "llama"
    parameter_count: int
    quantization: str  # "Q4_K_M", "F16", "4bit"
    context_length: int  # tokens the model was trained to read
    embedding_length: int  # width of the hidden state
    kv_bytes_per_token: int  # of a 16-bit KV cache, all layers together
    chat: bool  # has a chat template
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    name: ModelName
    kind: Kind
    path: Path  # the GGUF file, or the MLX folder
    size_bytes: int
    digest: str  # 64 hex digits
    modified_at: datetime  # aware, UTC
    details: Details
    builtin: bool = False  # ships with the program and cannot be removed
