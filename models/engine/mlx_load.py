"""Loads an MLX model from its folder, bit by bit: weights and tokenizer, or why not.

The lane gives others their turn between two bits, so none is long: the tokenizer is read on
a thread of its own (it calls nothing of mlx), the weights some megabytes at a time.

Nothing here imports mlx: ``mlx.py`` does, and passes it in as a ``Library``. The protocols
are what we use of it, since mlx_lm has no types of its own to check against.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from models import facts
from models.engine.mlx_sampling import LogitsProcessor, Sampler
from models.engine.pieces import Tokenizer
from models.engine.template import ChatTemplate
from models.errors import InferenceError, LoadFailed, OutOfMemory
from models.model import Adapter

log = logging.getLogger(__name__)

_BIT_BYTES = 64 << 20  # of weights that are read between two steps of others

Module: TypeAlias = Any
"""An mlx.nn.Module: layers and their weights."""


Drawn: TypeAlias = Any
"""Of each row, in an array or a list."""


class MlxTokenizer(Tokenizer, Protocol):
    bos_token: str | None
    eos_token: str | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    @property
    def eos_token_ids(self) -> set[int]: ...


class PromptResponse(Protocol):
    uid: int
    progress: tuple[int, int]  # tokens that are read, of how many
    end_of_prompt: bool


class TokenResponse(Protocol):
    uid: int
    token: int
    finish_reason: str | None  # "stop", "length"
    # With the last token: what the batch had of the sequence, not computed yet.
    prompt_cache: list[Any] | None
    all_tokens: list[int] | None


class Decoding(Protocol):
    """mlx_lm's GenerationBatch."""

    @property
    def uids(self) -> list[int]: ...

    @property
    def _next_tokens(self) -> Drawn:
        """Drawn, and not handed out."""
        ...


class Batch(Protocol):
    """mlx_lm's BatchGenerator."""

    stream: Any  # that it runs on

    @property
    def _generation_batch(self) -> Decoding: ...

    def insert(
        self,
        prompts: list[list[int]],
        max_tokens: list[int],
        *,
        caches: list[list[Any]],
        all_tokens: list[list[int]],
        samplers: Sequence[Sampler | None],
        logits_processors: list[list[LogitsProcessor]],
    ) -> list[int]: ...

    def next(self) -> tuple[list[PromptResponse], Sequence[TokenResponse]]: ...

    def remove(
        self, uids: list[int], return_prompt_caches: bool
    ) -> dict[int, tuple[list[Any], list[int]]]: ...


@dataclass(frozen=True, slots=True)
class Library:
    """The parts of mlx and mlx_lm that we use."""

    mx: ModuleType  # mlx.core
    new_batch: Callable[..., Batch]
    load_model: Callable[..., tuple[Module, dict[str, Any]]]
    load_adapters: Callable[[Module, str], Module]
    load_tokenizer: Callable[..., MlxTokenizer]
    make_prompt_cache: Callable[[Module], list[Any]]
    load_layers: Callable[[str], list[Any]]  # mlx_lm.models.cache.load_prompt_cache
    model_classes: Callable[[dict[str, Any]], tuple[type[Any], type[Any]]]  # of a configuration
    flatten: Callable[[Any], list[tuple[str, Any]]]  # mlx.utils.tree_flatten


@dataclass(frozen=True, slots=True)
class LoadedFolder:
    model: Module
    tokenizer: MlxTokenizer
    vocabulary_size: int


class Loading:
    """A model on its way into memory. Every call is made on the thread that will run it.

    ``wake`` is called, on any thread, when there is something to go on with. ``adapters``
    have passed ``models.adapters.check``.

    Raises:
        LoadFailed, OutOfMemory
    """

    def __init__(
        self,
        library: Library,
        folder: Path,
        wake: Callable[[], None],
        adapters: Sequence[Adapter] = (),
    ) -> None:
        self.library = library
        self.loaded_bytes = 0
        self._folder = folder
        self._wake = wake
        self._tokenizer: Future[MlxTokenizer] = Future()
        # The weights are read last: what else may be wrong shows in a moment.
        try:
            self._model, self._config = library.load_model(folder, lazy=True)
        except Exception as error:
            log.exception("The model in %s cannot be loaded", folder)
            raise _load_error(folder, error) from None
        for each in adapters:
            self._put_on(each.path)
        if library.mx.default_device() == library.mx.cpu:
            # There 16-bit weights are slower, and quantised ones also wrong by percents.
            self._model.set_dtype(library.mx.float32)
        self._left = [array for _, array in library.flatten(self._model.parameters())]
        threading.Thread(target=self._load_tokenizer, name="mlx-tokenizer", daemon=True).start()

    def has_work(self) -> bool:
        return bool(self._left) or self._tokenizer.done()

    def go_on(self) -> LoadedFolder | None:
        """Load some more; return the model when it is all there.

        Raises:
            LoadFailed, OutOfMemory
        """
        if self._tokenizer.done() and (error := self._tokenizer.exception()):
            raise error
        try:
            if self._left:
                self._read_some()
                return None
            if not self._tokenizer.done():
                return None
            for layer in self.library.make_prompt_cache(self._model):
                layer.merge([layer])  # raises where its kind cannot join a batch, even of one
        except Exception as error:
            log.exception("The weights in %s cannot be loaded", self._folder)
            raise _load_error(self._folder, error) from None
        tokenizer = self._tokenizer.result()
        rows = self._config.get("vocab_size")
        return LoadedFolder(
            self._model, tokenizer, rows if isinstance(rows, int) else len(tokenizer)
        )

    def _read_some(self) -> None:
        some: list[Any] = []
        size = 0
        while self._left and size < _BIT_BYTES:
            some.append(self._left.pop())
            size += some[-1].nbytes
        self.library.mx.eval(some)
        self.loaded_bytes += size

    def _put_on(self, adapter: Path) -> None:
        try:
            self.library.load_adapters(self._model, str(adapter))
        except Exception as error:
            log.exception("The adapter in %s cannot be put on", adapter)
            if "incompatible tensors" in str(error):  # mlx_lm/tuner/utils.py, load_adapters
                reason = f"its adapter {adapter.name} was made for another model."
            else:
                reason = f"its adapter {adapter.name} cannot be used: {first_line(error)}"
            raise LoadFailed(f"MLX cannot load {self._folder.name}: {reason}") from None
        self._model.eval()  # its new layers would drop out at random

    def _load_tokenizer(self) -> None:  # on a thread of its own
        try:
            tokenizer = self.library.load_tokenizer(
                self._folder,
                # Never the network, and never a program that came with the weights.
                {"local_files_only": True, "trust_remote_code": False},
                eos_token_ids=self._config.get("eos_token_id"),
            )
        except Exception as error:
            log.exception("The tokenizer in %s cannot be loaded", self._folder)
            sentence = f"The model's file tokenizer.json cannot be used: {first_line(error)}"
            self._tokenizer.set_exception(LoadFailed(sentence))
        else:
            self._tokenizer.set_result(tokenizer)
        self._wake()


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


def template_of(folder: Path, tokenizer: MlxTokenizer) -> ChatTemplate | None:
    source = facts.mlx_chat_template(folder)
    if source is None:
        return None
    return ChatTemplate(
        source, bos_token=tokenizer.bos_token or "", eos_token=tokenizer.eos_token or ""
    )
