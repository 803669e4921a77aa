"""A model as registries of Ollama's protocol keep it: its layers, and the manifest that names them.

https://github.com/ollama/ollama/blob/main/server/images.go
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import gguf, parameters, weights
from models.counts import human_count
from models.errors import InvalidRequest
from models.go_jinja import is_jinja
from models.model import Kind, Model, Profile

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.ollama.image."


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob: a file, or a few bytes."""

    media_type: str
    sha256: str
    size_bytes: int
    content: Path | bytes

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}"

    def entry(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}


def check(model: Model) -> None:
    """Raises InvalidRequest where there is more to the model than such a registry can keep."""
    why = ""
    if model.kind is not Kind.LLAMA:
        why = "it is for MLX, and such a registry has models in GGUF alone"
    elif len(gguf.shards(model.path)) > 1:
        why = "its weights are in several files, and such a registry has them in one"
    elif any(each.scale != 1.0 for each in model.profile.adapters):
        why = "an adapter of it has a scale, and such a registry has no word for that"
    elif model.profile.template and is_jinja(model.profile.template):
        why = "its template is in Jinja, and such a registry has templates in Go's words"
    if why:
        raise InvalidRequest(f"Model '{model.name}' cannot be pushed: {why}.", field="model")


def layers_of(model: Model) -> list[Layer]:
    """Return all of a model that has been checked. Files are hashed where it is not known.

    Raises:
        OSError: a file cannot be read.
    """
    return [*_files(model), *_profile(model.profile)]


def config_of(model: Model, layers: Sequence[Layer]) -> Layer:
    details = model.details
    config = {
        "model_format": "gguf",
        "model_family": details.architecture,
        "model_families": [details.architecture],
        "model_type": human_count(details.parameter_count),
        "file_type": details.quantization,
        "architecture": "amd64",  # of no computer in particular: Ollama writes it so
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [each.digest for each in layers]},
    }
    return _json(_CONFIG_TYPE, config)


def manifest(config: Layer, layers: Sequence[Layer]) -> bytes:
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.entry(),
        "layers": [each.entry() for each in layers],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _files(model: Model) -> Iterator[Layer]:
    files = model.files
    alone = not files.projector
    yield _file("model", files.path, model.digest if alone else "")
    if files.projector:
        yield _file("projector", files.folder / files.projector)
    for each in model.profile.adapters:
        yield _file("adapter", each.path)


def _profile(profile: Profile) -> Iterator[Layer]:
    """What is only of this computer stays here: memory, how long it is kept, drafts."""
    for kind, text in (("template", profile.template), ("system", profile.system)):
        if text is not None:
            yield _bytes(_LAYER_TYPE + kind, text.encode())
    if params := _params(profile):
        yield _json(f"{_LAYER_TYPE}params", params)
    for each in profile.license:
        yield _bytes(f"{_LAYER_TYPE}license", each.encode())
    if profile.messages:
        said = [{"role": each.role, "content": each.text} for each in profile.messages]
        yield _json(f"{_LAYER_TYPE}messages", said)


def _params(profile: Profile) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for name, value in parameters.of(profile):
        if isinstance(value, str):  # a stop string each
            params.setdefault(name, []).append(value)
        else:
            params[name] = value
    return params


def _file(kind: str, path: Path, sha256: str = "") -> Layer:
    size = path.stat().st_size
    return Layer(_LAYER_TYPE + kind, sha256 or weights.hash_of(path), size, path)


def _json(media_type: str, value: object) -> Layer:
    return _bytes(media_type, json.dumps(value, ensure_ascii=False, sort_keys=True).encode())


def _bytes(media_type: str, data: bytes) -> Layer:
    return Layer(media_type, hashlib.sha256(data).hexdigest(), len(data), data)
