"""Whose a remembered prompt is: all that has to be the same for its KV cache to be of use."""

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from models import adapters
from models.engine.backend import LoadSpec
from models.prompt_entry import Owner


def owner_of(spec: LoadSpec, *, packages: Iterable[str], **form: str) -> Owner:
    """Return the owner of what a loaded model keeps.

    Args:
        packages: whose versions write the payload, and compute what is in it.
        form: how else the model is run: where, and in what chunks a prompt is read.
    """
    model = spec.model
    files = model.files
    read = [files.path] if files.main else sorted(files.folder.glob("*.safetensors"))
    read += [path for each in spec.adapters for path in adapters.files_of(each, model.kind)]
    return Owner(
        engine=model.kind.value,
        model=model.digest,
        name=str(model.name),
        adapters=tuple(adapters.written([each]) for each in spec.adapters),
        form={
            **form,
            "cache": spec.kv_type.value,
            **{package: version(package) for package in packages},
            "platform": f"{platform.system()} {platform.machine()}",
            "files": _stamp(read),
        },
    )


def _stamp(paths: Iterable[Path]) -> str:
    """Files that are used where they lie may be replaced, and their digest is not read again."""
    stamps: list[tuple[str, int, int]] = []
    for path in paths:
        about = path.stat()
        stamps.append((path.name, about.st_size, about.st_mtime_ns))
    return hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]
