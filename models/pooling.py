"""How an embedding model makes one vector of many: what its files say."""

from pathlib import Path
from typing import Any, cast

from models.json_file import read_json, read_object, text_of

# enum llama_pooling_type (include/llama.h); 0 is none.
OF_GGUF = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
# sentence_transformers.models.Pooling
_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def of_folder(folder: Path) -> str | None:
    """Return the pooling that sentence-transformers' list of modules has; None without one.

    It is "" where the list has a pooling and the file that says which is not there.

    Raises:
        LoadFailed: the list cannot be read.
    """
    if not (folder / "modules.json").is_file():
        return None
    modules = read_json(folder / "modules.json")
    for module in cast("list[Any]", modules) if isinstance(modules, list) else ():
        if (text_of(module, "type") or "").endswith(".Pooling"):
            return _mode(folder / (text_of(module, "path") or "") / "config.json")
    return None


def _mode(path: Path) -> str:
    if not path.is_file():
        return ""
    settings = read_object(path)
    return next((mode for key, mode in _MODES.items() if settings.get(key) is True), "")
