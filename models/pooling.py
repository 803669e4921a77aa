"""How an embedding model makes one vector of many, and how much it reads: what its files say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from models.errors import LoadFailed
from models.json_file import read_json, read_object, text_of

RANK = "rank"  # a cross-encoder: it makes one number of a query and a document
ROBERTA = ("roberta", "xlm-roberta")  # as Hugging Face calls them
# enum llama_pooling_type (include/llama.h); 0 is none.
OF_GGUF = {1: "mean", 2: "cls", 3: "last", 4: RANK}
# sentence_transformers.models.Pooling
_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}
_WAYS = {"mean": "mean", "cls": "cls", "lasttoken": "last", "max": "max"}  # newer files' words
# What comes of sentence-transformers' other steps is not the model's vector any more. Ours are
# of unit length always, as those of every API.
_STEPS = ("Transformer", "Pooling", "Normalize")


def of_folder(folder: Path, *, encoder: bool) -> str | None:
    """Return the pooling that sentence-transformers' list of modules has; None without one.

    Where the list has a pooling and the file that says which is not there, it is the usual
    one: the mean, and of a decoder the last token's vector, which alone has seen all others.

    Raises:
        LoadFailed: the list cannot be read, or has steps that we do not know.
    """
    if not (folder / "modules.json").is_file():
        return None
    modules = read_json(folder / "modules.json")
    steps = cast("list[Any]", modules) if isinstance(modules, list) else []
    found = None
    for module in steps:
        step = (text_of(module, "type") or "").rpartition(".")[2]
        if step not in _STEPS:
            raise LoadFailed(
                f"{folder.name} makes its vectors in a step that cannot be run here ({step}): "
                "look for the model as a GGUF file."
            )
        if step == "Pooling":
            path = folder / (text_of(module, "path") or "") / "config.json"
            found = _mode(path) or usual(encoder=encoder)
    return found


def usual(*, encoder: bool) -> str:
    return "mean" if encoder else "last"


def reads_whole(pooling: str) -> bool:
    """Whether such a model reads a text at once, and keeps nothing of it.

    One that pools the last token's vector is a decoder, and reads it chunk by chunk.
    """
    return pooling not in ("", "last")


def ranks(config: Mapping[str, Any]) -> bool:
    """Whether an encoder's configuration is that of a cross-encoder: it has one label."""
    names: object = config.get("architectures")
    classes = cast("list[Any]", names) if isinstance(names, list) else []
    return any(str(each).endswith("ForSequenceClassification") for each in classes)


def longest_input(folder: Path, positions: int, *, first_position: int) -> int:
    """Return the most tokens of one input, of which a model has ``positions``."""
    longest = positions - first_position
    limit = folder / "sentence_bert_config.json"
    if limit.is_file():
        wanted = read_object(limit).get("max_seq_length")
        if isinstance(wanted, int) and 0 < wanted < longest:
            return wanted
    return max(1, longest)


def _mode(path: Path) -> str:
    """Raises LoadFailed where it is a pooling that we do not know."""
    if not path.is_file():
        return ""
    settings = read_object(path)
    if way := text_of(settings, "pooling_mode"):
        chosen = [way]
    else:
        chosen = [key for key, on in settings.items() if key.startswith("pooling_") and on is True]
    known = [(_MODES | _WAYS).get(each) for each in chosen]
    if len(known) > 1 or None in known:
        raise LoadFailed(
            f"The model's pooling ({' and '.join(chosen)}) cannot be done here: look for the "
            "model as a GGUF file."
        )
    return known[0] or "" if known else ""
