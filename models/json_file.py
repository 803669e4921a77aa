"""Reads the JSON files that come with a model, told in a sentence where they cannot be read."""

import json
from pathlib import Path
from typing import Any, cast

from models.errors import LoadFailed


def read_json(path: Path) -> object:
    """Raises LoadFailed where the file is missing, or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LoadFailed(f"{path.parent.name} has no {path.name}.") from None
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise LoadFailed(f"{path.name} is damaged: it is not JSON.") from None


def read_object(path: Path) -> dict[str, Any]:
    """Raises LoadFailed as ``read_json``, and where the file holds no JSON object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise LoadFailed(f"{path.name} is damaged: it is not a JSON object.")
    return cast("dict[str, Any]", value)


def text_of(entry: object, key: str) -> str | None:
    """Return a text that a JSON object has; None where it has none, or is no object."""
    value = cast("dict[str, Any]", entry).get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else None
