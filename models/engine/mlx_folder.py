"""An MLX model's folder: whether all of it is there, and the chat template in it.

mlx_lm looks for a missing file on the network or stops in the middle of a message
for programmers, so we look first, and name the file.
"""

import json
from pathlib import Path
from typing import Any, NoReturn, cast

from models.errors import LoadFailed

_LENGTH_BYTES = 8  # of a safetensors file: how long its header is


def check_folder(folder: Path) -> None:
    """Raises LoadFailed, naming the file that is missing or damaged."""
    config = _read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        _damaged("config.json", "it names no model_type")
    for path in _weight_files(folder):
        _check_safetensors(path)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        _missing("tokenizer.json")


def chat_template_source(folder: Path) -> str | None:
    """Return the model's chat template; None where it has none.

    Raises:
        LoadFailed: the file that holds it cannot be read.
    """
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        _damaged("chat_template.jinja", str(error))
    if not (folder / "tokenizer_config.json").is_file():
        return None
    template = _read_object(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several, each with a name
        named = cast("list[dict[str, Any]]", template)
        template = next((each["template"] for each in named if each["name"] == "default"), None)
    return template if isinstance(template, str) else None


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        weights = _read_object(index).get("weight_map")
        if not isinstance(weights, dict):
            _damaged(index.name, "it has no weight_map")
        names = {str(name) for name in cast("dict[str, Any]", weights).values()}
        return [folder / name for name in sorted(names)]
    # Those that mlx_lm reads (utils.py, load_model).
    return sorted(folder.glob("model*.safetensors")) or [folder / "model.safetensors"]


def _check_safetensors(path: Path) -> None:
    """Read the header, and compare the length it promises with the file's."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if size < _LENGTH_BYTES + length:
                _damaged(path.name, "it is incomplete")
            header: dict[str, Any] = json.loads(file.read(length))
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        if size < _LENGTH_BYTES + length + max(ends, default=0):
            _damaged(path.name, "it is incomplete")
    except FileNotFoundError:
        _missing(path.name)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        _damaged(path.name, str(error))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        _missing(path.name)
    except (OSError, ValueError) as error:
        _damaged(path.name, str(error))
    if not isinstance(value, dict):
        _damaged(path.name, "it is not a JSON object")
    return cast("dict[str, Any]", value)


def _missing(name: str) -> NoReturn:
    raise LoadFailed(f"The model's file {name} is missing: please download the model again.")


def _damaged(name: str, why: str) -> NoReturn:
    raise LoadFailed(
        f"The model's file {name} is damaged ({why}): please download the model again."
    ) from None
