"""Loads an MLX model from its folder: weights and tokenizer, or one sentence why not.

Nothing here imports mlx: ``mlx.py`` does, and passes it in as a ``Library``. The protocols
are what we use of it, since mlx_lm has no types of its own to check against.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from models.engine.mlx_sampling import LogitsProcessor, Sampler
from models.engine.pieces import Tokenizer
from models.errors import InferenceError, LoadFailed, OutOfMemory

log = logging.getLogger(__name__)

Module: TypeAlias = Any
"""An mlx.nn.Module: layers and their weights."""


class MlxTokenizer(Tokenizer, Protocol):
    bos_token: str | None
    eos_token: str | None

    @property
    def eos_token_ids(self) -> set[int]: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class PromptResponse(Protocol):
    uid: int
    end_of_prompt: bool


class TokenResponse(Protocol):
    uid: int
    token: int
    finish_reason: str | None  # "stop", "length"


class Batch(Protocol):
    """mlx_lm's BatchGenerator."""

    def insert(
        self,
        prompts: list[list[int]],
        max_tokens: list[int],
        *,
        samplers: Sequence[Sampler | None],
        logits_processors: list[list[LogitsProcessor]],
    ) -> list[int]: ...

    def next(self) -> tuple[list[PromptResponse], list[TokenResponse]]: ...

    def remove(self, uids: list[int]) -> object: ...


@dataclass(frozen=True, slots=True)
class Library:
    """The parts of mlx and mlx_lm that we use."""

    mx: ModuleType  # mlx.core
    new_batch: Callable[..., Batch]
    load_model: Callable[..., tuple[Module, dict[str, Any]]]
    load_tokenizer: Callable[..., MlxTokenizer]
    make_prompt_cache: Callable[[Module], list[Any]]


@dataclass(frozen=True, slots=True)
class Loaded:
    model: Module
    tokenizer: MlxTokenizer
    vocabulary_size: int


def load(library: Library, folder: Path) -> Loaded:
    """Load the model in ``folder``, on the thread that is going to run it.

    Raises:
        LoadFailed, OutOfMemory
    """
    # The weights are read last: what else may be wrong shows in a moment.
    try:
        model, config = library.load_model(folder, lazy=True)
    except Exception as error:
        log.exception("The model in %s cannot be loaded", folder)
        raise _load_error(folder, error) from None
    tokenizer = _load_tokenizer(library, folder, config)
    try:
        _read_weights(library, model)
    except Exception as error:
        log.exception("The weights in %s cannot be loaded", folder)
        raise _load_error(folder, error) from None
    rows = config.get("vocab_size")
    return Loaded(model, tokenizer, rows if isinstance(rows, int) else len(tokenizer))


def _load_tokenizer(library: Library, folder: Path, config: dict[str, Any]) -> MlxTokenizer:
    try:
        return library.load_tokenizer(
            folder,
            # Never the network, and never a program that came with the weights.
            {"local_files_only": True, "trust_remote_code": False},
            eos_token_ids=config.get("eos_token_id"),
        )
    except Exception as error:
        log.exception("The tokenizer in %s cannot be loaded", folder)
        raise LoadFailed(
            f"The model's file tokenizer.json cannot be used: {first_line(error)}"
        ) from None


def _read_weights(library: Library, model: Module) -> None:
    mx = library.mx
    if mx.default_device() == mx.cpu:
        # There 16-bit weights are slower, and quantised ones also wrong by percents.
        model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    for layer in library.make_prompt_cache(model):
        layer.merge([layer])  # raises where its kind cannot join a batch, even of one


def _load_error(folder: Path, error: Exception) -> InferenceError:
    if is_out_of_memory(error):
        return OutOfMemory(f"There is not enough memory to load {folder.name}.")
    return LoadFailed(f"MLX cannot load {folder.name}: {first_line(error)}")


def is_out_of_memory(error: Exception) -> bool:
    # "[metal::malloc] Attempting to allocate …", "[malloc_or_wait] Unable to allocate …",
    # "[METAL] Command buffer execution failed: Insufficient Memory …"
    text = str(error).lower()
    return isinstance(error, MemoryError) or "alloc" in text or "insufficient memory" in text


def first_line(error: Exception) -> str:
    """The library's own words, as the end of a sentence."""
    words = str(error).strip() or type(error).__name__
    return words.splitlines()[0].rstrip(".:") + "."
