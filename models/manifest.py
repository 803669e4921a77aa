"""The record of one installed model, as a small JSON file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from models.errors import InferenceError
from models.model import Adapter, Details, Files, Kind, KvType, Model, Profile, Said
from models.names import ModelName
from models.sampling_ranges import within

_VERSION = 2
T = TypeVar("T")


def _facts() -> Iterator[tuple[str, type[Any], object]]:
    """Each fact's name and type, and what stands for it where it is missing."""
    for field in fields(Details):
        kind = cast("type[Any]", field.type)
        yield field.name, kind, kind() if field.default is MISSING else field.default


_FACTS = tuple(_facts())
_PROFILE = tuple(field.name for field in fields(Profile))


class UnreadableManifest(Exception):
    """A record that tells us nothing."""


class DamagedManifest(UnreadableManifest):
    """A file that should hold a manifest holds something else."""


class NewerManifest(UnreadableManifest):
    """A manifest in a form that a later version of this program has brought."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``own`` is the model's folder below ``files``; None where it lies elsewhere."""

    model: Model
    own: str | None
    facts_version: int  # of ``models.facts``, when the details were read; 0: some are missing


def encode(manifest: Manifest, files_folder: Path) -> bytes:
    """The folder of files of our own is not written down: the home may be moved."""
    model = manifest.model
    files = model.files
    record = {
        "version": _VERSION,
        "name": str(model.name),
        "kind": model.kind.value,
        "own": manifest.own,
        "files": {
            "folder": str(files.folder) if manifest.own is None else None,
            "main": files.main,
            "projector": files.projector,
        },
        "size_bytes": model.size_bytes,
        "digest": model.digest,
        "modified_at": model.modified_at.isoformat(),
        "facts_version": manifest.facts_version,
        "details": asdict(model.details),
        "profile": _profile_record(model.profile, files_folder),
    }
    # In ASCII, since a path need not be UTF-8.
    return (json.dumps(record, indent=1) + "\n").encode()


def decode(raw: bytes, files: Path) -> Manifest:
    """Read a record of any version up to ours. Keys that we do not know are passed over.

    ``files`` is the folder that folders of our own are in. Facts that are missing have
    the value of nothing, and ``facts_version`` says so.

    Raises:
        DamagedManifest: these bytes are no manifest.
        NewerManifest: they are one of a later version.
    """
    try:
        record = cast("dict[str, Any]", json.loads(raw))
        version = _typed(record, "version", int)
        if version > _VERSION:
            raise NewerManifest("written by a newer Inglenook")
        for older in range(version, _VERSION):
            record = _MIGRATIONS[older](record)
        return _decode(record, files)
    except (ValueError, KeyError, TypeError, RecursionError, InferenceError) as error:
        raise DamagedManifest(repr(error)) from None


def _decode(record: dict[str, Any], files: Path) -> Manifest:
    own = None if record["own"] is None else _plain_name(record["own"])
    details, whole = _details(_object(record, "details"))
    model = Model(
        name=ModelName.parse(_typed(record, "name", str)),
        kind=Kind(record["kind"]),
        files=_files(_object(record, "files"), None if own is None else files / own),
        size_bytes=_typed(record, "size_bytes", int),
        digest=_typed(record, "digest", str),
        modified_at=_aware(datetime.fromisoformat(record["modified_at"])),
        details=details,
        profile=_profile(_object(record, "profile"), files),
    )
    return Manifest(model, own, _typed(record, "facts_version", int) if whole else 0)


def _files(record: dict[str, Any], own: Path | None) -> Files:
    main = _typed(record, "main", str)
    return Files(
        folder=Path(_typed(record, "folder", str)) if own is None else own,
        main=_plain_name(main) if main else "",
        projector=_plain_name(record["projector"]) if record.get("projector") else "",
    )


def _profile_record(profile: Profile, files_folder: Path) -> dict[str, Any]:
    adapters = [
        {"path": _without(files_folder, each.path), "scale": each.scale}
        for each in profile.adapters
    ]
    return asdict(profile) | {"adapters": adapters}


def _without(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _details(record: dict[str, Any]) -> tuple[Details, bool]:
    """Return the facts, and whether all of them are there."""
    facts: dict[str, Any] = {}
    whole = True
    for name, kind, default in _FACTS:
        value = record.get(name)
        if not isinstance(value, kind):
            whole = False
            value = default
        facts[name] = value
    return Details(**facts), whole


def _profile(record: dict[str, Any], files: Path) -> Profile:
    """What a newer program has written, and this one has no word for, is passed over."""
    known = {key: record[key] for key in _PROFILE if key in record}
    for key in ("license", "stop"):  # JSON has lists alone
        known[key] = tuple(known.get(key, ()))
    known["messages"] = tuple(Said(**each) for each in known.get("messages", ()))
    known["adapters"] = tuple(_adapter(each, files) for each in known.get("adapters", ()))
    known["drafts"] = str(known.get("drafts") or "")
    kv_type = known.get("kv_type")
    known["kv_type"] = KvType(kv_type) if kv_type in set(KvType) else KvType.F16
    sampling = cast("dict[str, Any]", known.get("sampling", {}))
    known["sampling"] = {name: each for name, each in sampling.items() if within(name, each)}
    return Profile(**known)


def _adapter(record: dict[str, Any], files: Path) -> Adapter:
    # One of our own is written down without the folder: the home may be moved.
    return Adapter(files / _typed(record, "path", str), float(record["scale"]))


def _from_1(record: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had one path, whose meaning depended on the kind, and no profile."""
    path = Path(_typed(record, "path", str))
    folder, main = (path, "") if record["kind"] == Kind.MLX else (path.parent, path.name)
    own = record["folder"]
    files = {"folder": str(folder) if own is None else None, "main": main}
    return record | {"own": own, "files": files, "facts_version": 0, "profile": {}}


_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def _object(record: dict[str, Any], key: str) -> dict[str, Any]:
    return cast("dict[str, Any]", _typed(record, key, dict))


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
