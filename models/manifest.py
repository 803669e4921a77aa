"""The record of one installed model, as a small JSON file."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from models.errors import InferenceError
from models.model import Details, Kind, Model
from models.names import ModelName

_VERSION = 1
T = TypeVar("T")


class DamagedManifest(Exception):
    """A file that should hold a manifest holds something else."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``folder`` is the model's own below ``files``; None where it lies elsewhere."""

    model: Model
    folder: str | None


def encode(manifest: Manifest) -> bytes:
    """The path of files of our own is written relative to them: the home may be moved."""
    model = manifest.model
    record = {
        "version": _VERSION,
        "name": str(model.name),
        "kind": model.kind.value,
        "folder": manifest.folder,
        "path": str(model.path) if manifest.folder is None else _inner_path(manifest),
        "size_bytes": model.size_bytes,
        "digest": model.digest,
        "modified_at": model.modified_at.isoformat(),
        "details": asdict(model.details),
    }
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()


def decode(raw: bytes, files: Path) -> Manifest:
    """``files`` is the folder that folders of our own are in.

    Raises:
        DamagedManifest: these bytes are no manifest, or one of a later version.
    """
    try:
        record = cast("dict[str, Any]", json.loads(raw))
        if record["version"] != _VERSION:
            raise DamagedManifest(f"version {record['version']!r}")
        folder = None if record["folder"] is None else _plain_name(record["folder"])
        path = Path(_typed(record, "path", str))
        model = Model(
            name=ModelName.parse(_typed(record, "name", str)),
            kind=Kind(record["kind"]),
            path=path if folder is None else files / folder / path,
            size_bytes=_typed(record, "size_bytes", int),
            digest=_typed(record, "digest", str),
            modified_at=_aware(datetime.fromisoformat(record["modified_at"])),
            details=_details(cast("dict[str, Any]", _typed(record, "details", dict))),
        )
    except (ValueError, KeyError, TypeError, RecursionError, InferenceError) as error:
        raise DamagedManifest(repr(error)) from None
    return Manifest(model, folder)


def _inner_path(manifest: Manifest) -> str:
    """``.`` for an MLX folder, else the name of the GGUF file in it."""
    model = manifest.model
    return "." if model.path.name == manifest.folder else model.path.name


def _details(record: dict[str, Any]) -> Details:
    return Details(
        architecture=_typed(record, "architecture", str),
        parameter_count=_typed(record, "parameter_count", int),
        quantization=_typed(record, "quantization", str),
        context_length=_typed(record, "context_length", int),
        embedding_length=_typed(record, "embedding_length", int),
        kv_bytes_per_token=_typed(record, "kv_bytes_per_token", int),
        chat=_typed(record, "chat", bool),
        description=_typed(record, "description", str),
    )


def _typed(record: dict[str, Any], key: str, kind: type[T]) -> T:
    value = record[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key} is {type(value).__name__}")
    return value


def _plain_name(value: object) -> str:
    if not isinstance(value, str) or value != Path(value).name or value == "..":
        raise ValueError(value)
    return value


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(moment)
    return moment
