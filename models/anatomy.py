"""What the files of a model have in them, for whoever wants to see it: keys, tensors, template."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from models import facts, gguf, safetensors
from models.gguf_header import LongArray, Scalar, Value
from models.model import Kind, Model

# Of these there are fields of their own.
_HIDDEN = ("general.name", "tokenizer.chat_template")
_ONLY_VERSION = 2  # GGML_QNT_VERSION, for files that do not tell

_LAYER = re.compile(r"(?:blk|layers)\.(\d{1,6})\.")

Shown: TypeAlias = Scalar | list[Scalar | None] | None


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    type_name: str
    shape: tuple[int, ...]


class Anatomy:
    """The header of a model's (first) file, read once.

    Raises:
        LoadFailed: it cannot be read; each method likewise, of other files.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._header = gguf.read(model.path) if model.kind is Kind.LLAMA else None

    def keys(self, *, whole: bool) -> dict[str, Shown]:
        """What the file says of itself; lists are None unless all of it is wanted."""
        details = self._model.details
        architecture = details.architecture
        if self._header:
            said = _shown(self._model.path, self._header.metadata, whole=whole)
            shown = {key: each for key, each in said.items() if key not in _HIDDEN}
            shown.setdefault("general.quantization_version", _ONLY_VERSION)
            return shown | {"general.parameter_count": details.parameter_count}
        return {
            "general.architecture": architecture,
            "general.parameter_count": details.parameter_count,
            f"{architecture}.context_length": details.context_length,
            f"{architecture}.embedding_length": details.embedding_length,
        }

    def projector_keys(self, *, whole: bool) -> dict[str, Shown] | None:
        """The same of the file that reads pictures for it; None: there is none."""
        files = self._model.files
        path = files.folder / files.projector
        if not files.projector:
            return None
        header = gguf.read(path)
        count = sum(each.element_count for each in header.tensors)
        return _shown(path, header.metadata, whole=whole) | {"general.parameter_count": count}

    def tensors(self) -> list[Tensor]:
        """Those of no layer first, then layer by layer."""
        return sorted(self._tensors(), key=lambda each: (_layer(each.name), each.name))

    def _tensors(self) -> Iterator[Tensor]:
        model = self._model
        if self._header:
            for each in self._header.tensors:
                yield Tensor(each.name, each.type_name, each.shape)
            for path in gguf.shards(model.path)[1:]:
                for each in gguf.read(path).tensors:
                    yield Tensor(each.name, each.type_name, each.shape)
            return
        for path in sorted(model.path.glob("model*.safetensors")):
            for found in safetensors.read(path):
                yield Tensor(found.name, found.type_name, found.shape)

    def template(self) -> str | None:
        """The template that is in force; None: there is none."""
        if self._model.profile.template is not None:
            return self._model.profile.template
        if self._header is None:
            return facts.mlx_chat_template(self._model.path)
        said = self._header.metadata.get("tokenizer.chat_template")
        return said if isinstance(said, str) else None


def _layer(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1


def _shown(path: Path, metadata: Mapping[str, Value], *, whole: bool) -> dict[str, Shown]:
    shown: dict[str, Shown] = {}
    for key, value in metadata.items():
        if not isinstance(value, LongArray | tuple):
            shown[key] = _said(value)
        elif whole:
            entries = gguf.read_array(path, value) if isinstance(value, LongArray) else value
            shown[key] = [_said(each) for each in entries]
        else:
            shown[key] = None
    return shown


def _said(value: Scalar) -> Scalar | None:
    """JSON has neither infinity nor what is no number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
