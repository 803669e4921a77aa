"""``ingle list``, ``show``, ``import``, ``cp`` and ``rm``: the models on this disk."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app import words
from app.commands import CommandFailed, text
from models import builtin, modelfile, needs, paths
from models.errors import InferenceError
from models.model import Kind, Model
from models.names import ModelName
from models.store import Store

_ENGINES = {Kind.LLAMA: "llama.cpp (GGUF)", Kind.MLX: "MLX"}


def open_store() -> Store:
    return Store(paths.home(), builtin=builtin.FOLDER)


def list_all() -> int:
    rows = [
        (
            str(model.name),
            text.count(model.details.parameter_count),
            model.details.quantization,
            words.size(model.size_bytes),
            _since(model),
        )
        for model in open_store().list()
    ]
    print(text.table(("NAME", "PARAMETERS", "QUANTISATION", "SIZE", "ADDED"), rows))
    return 0


def show(name: str, *, as_modelfile: bool = False) -> int:
    model = open_store().find(name)
    if as_modelfile:
        print(modelfile.written(model), end="")
        return 0
    details = model.details
    rows = (
        ("name", str(model.name)),
        ("engine", _ENGINES[model.kind]),
        ("architecture", details.architecture),
        ("parameters", f"{details.parameter_count:,}"),
        ("quantisation", details.quantization),
        ("context length", f"{details.context_length:,} tokens"),
        ("embedding length", f"{details.embedding_length:,}"),
        ("KV cache", _cache_words(model)),
        ("set here", text.profile(model.profile) or "nothing"),
        ("chat template", _chat_words(model)),
        ("size", words.size(model.size_bytes)),
        ("digest", model.digest),
        ("files", str(model.path)),
        ("added", _since(model)),
    )
    for key, value in rows:
        print(f"{key:<18}{value}")
    if details.description:
        print(f"\n{details.description}")
    return 0


def _cache_words(model: Model) -> str:
    """What a sequence keeps: of each token, of the last ones, and whatever its length."""
    cache = needs.cache_of(model, model.profile.kv_type)
    kept = [f"{words.size(cache.token_bytes)} a token"] if cache.token_bytes else []
    if cache.window_bytes:
        kept.append(f"{words.size(cache.window_bytes)} for the last {cache.window_tokens:,} each")
    if cache.state_bytes:
        kept.append(f"{words.size(cache.state_bytes)} at any length")
    return ", ".join(kept)


def _chat_words(model: Model) -> str:
    if not model.details.completes:
        return "no: it is for embeddings, and writes no text"
    return "yes" if model.chats else "no: it only continues text"


def import_path(path: Path, name: str, *, copy: bool) -> int:
    if not copy and not _is_utf8(path):
        raise CommandFailed(
            f"The name of {path} is not UTF-8, so llama.cpp cannot open it: rename it, "
            "or add it with --copy."
        )
    model = open_store().import_path(path, name, copy=copy)
    where = "copied" if copy else "used where it is"
    print(f"Added {model.name}: {words.size(model.size_bytes)}, {where}.")
    return 0


def copy(source: str, destination: str) -> int:
    print(f"Added {open_store().copy(source, destination).name}.")
    return 0


def remove(names: Sequence[str], host: str | None, port: int | None) -> int:
    """Forget models, and have a running server let go of them.

    Goes on after a name that fails: the others are not to blame.
    """
    from app.commands import remote  # noqa: PLC0415  # urllib, which 'ingle list' can do without

    store = open_store()
    builtin = {model.name for model in store.list() if model.builtin}
    failed = False
    for name in names:
        try:
            if ModelName.parse(name) not in builtin:  # which stay
                remote.unload(name, host, port)
            store.remove(name)
            print(f"Removed {name}.")
        except InferenceError as error:
            print(f"ingle: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def _is_utf8(path: Path) -> bool:
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _since(model: Model) -> str:
    if model.builtin:
        return "ships with Inglenook"
    return text.ago(model.modified_at) if model.path.exists() else "its files are gone"
