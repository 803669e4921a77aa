"""What a GGUF model may draft with: a look-up in the texts it has seen, or a smaller model.

See docs/decisions/speculation.md.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from models import gguf
from models.errors import InferenceError, LoadFailed
from models.model import Kind, Model


class Lookup(StrEnum):
    """Drafts that are looked up in the text, in llama.cpp's words (common/speculative.cpp)."""

    NGRAM_MOD = "ngram-mod"


Drafts: TypeAlias = Lookup | Model

# llama.cpp takes vocabularies for the same that differ in so many tokens at their end: the
# larger models of a family have more that stand for nothing (common/speculative.cpp).
_MOST_MORE_TOKENS = 128


def of(model: Model, find: Callable[[str], Model]) -> Drafts | None:
    """Return what the profile of a model says to draft with; None: nothing.

    Raises:
        LoadFailed: it names a model that is not there.
    """
    said = model.profile.drafts
    return named(said, model, find) if said else None


def named(said: str, model: Model, find: Callable[[str], Model]) -> Drafts:
    """Return what ``said`` names for ``model``: a kind of look-up comes before a model.

    Raises:
        LoadFailed: it names neither.
    """
    if said in set(Lookup):
        return Lookup(said)
    try:
        return find(said)
    except InferenceError:
        raise LoadFailed(
            f"The draft model '{said}' of '{model.name}' is not installed: download it, or set "
            f"another one, {_kinds()}, or none."
        ) from None


def check(model: Model, drafts: Drafts | None) -> None:
    """Raises LoadFailed where ``model`` cannot draft with that, after a look at the headers."""
    if drafts is None:
        return
    if model.kind is Kind.MLX:
        raise LoadFailed(
            f"MLX looks drafts up by itself where they pay, and takes no others: '{model.name}' "
            "can have none set."
        )
    if not model.details.completes:
        raise LoadFailed(f"'{model.name}' makes vectors and writes no text that could be drafted.")
    if isinstance(drafts, Lookup):
        return
    if drafts.kind is not Kind.LLAMA or not drafts.details.completes:
        raise LoadFailed(
            f"'{drafts.name}' cannot draft for '{model.name}': that takes a GGUF model that "
            "writes texts."
        )
    if not _same_vocabulary(model, drafts):
        raise LoadFailed(
            f"'{drafts.name}' cannot draft for '{model.name}', for it has another vocabulary: "
            "choose a smaller model of the same family."
        )


def _same_vocabulary(model: Model, draft: Model) -> bool:
    """llama.cpp would load both, and say in its log alone that it will not draft."""
    first, second = (gguf.read_vocabulary(each.path) for each in (model, draft))
    if first.kind != second.kind or abs(first.size - second.size) > _MOST_MORE_TOKENS:
        return False
    shorter, longer = sorted((first.raw, second.raw), key=len)
    return bool(shorter) and longer.startswith(shorter)


def _kinds() -> str:
    return " or ".join(Lookup)
