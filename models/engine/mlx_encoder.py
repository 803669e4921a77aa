"""An MLX model that makes vectors and nothing else: an encoder, or a decoder made for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from models import safetensors
from models.engine.backend import Counters, EmbedWork, LoadSpec, Output, Work
from models.engine.hf_tokenizer import tokenizer_of
from models.engine.mlx_bert import Bert
from models.engine.mlx_embed import (
    Array,
    Decoding,
    Embeddings,
    Pass,
    Pool,
    Vectors,
    padded,
    step_tokens,
)
from models.engine.mlx_library import free, import_library
from models.engine.mlx_load import Library, LoadedFolder, Loading
from models.engine.prompt import Prompter
from models.engine.tokenizer import Tokenizer
from models.errors import InferenceError, InvalidRequest
from models.facts import ENCODERS
from models.json_file import read_object
from models.pooling import RANK


class MlxEncoder:
    """A ``Backend``. What it is asked to complete is refused."""

    def __init__(self, spec: LoadSpec, wake: Callable[[], None]) -> None:
        self._spec = spec
        self._wake = wake
        self._loading: Loading | None = None
        self._embeddings: Embeddings | None = None  # once it is loaded
        self._prompter: Prompter | None = None

    @property
    def prompter(self) -> Prompter:
        assert self._prompter, "used before it was loaded"
        return self._prompter

    @property
    def loaded_bytes(self) -> int:
        return self._loading.loaded_bytes if self._loading else 0

    @property
    def counters(self) -> Counters:
        return Counters()

    def load(self) -> bool:
        if self._embeddings:
            return True
        try:
            return self._go_on_loading()
        except InferenceError as error:
            # The frames it came through hold half a model, and would for as long as some
            # window shows the error.
            failure = error.with_traceback(None)
            failure.__context__ = None
        self._loading = None
        free()
        raise failure

    def _go_on_loading(self) -> bool:
        if self._loading is None:
            library = _for_vectors(import_library(), self._spec)
            self._loading = Loading(library, self._spec.model.path, self._wake)
            return False
        loaded = self._loading.go_on()
        if loaded is None:
            return False
        library, self._loading = self._loading.library, None
        tokenizer = tokenizer_of(loaded.tokenizer, whole=True)
        self._prompter = Prompter(None, tokenizer, self._spec.context_length)
        self._embeddings = _embeddings(library, loaded, tokenizer, self._spec)
        return True

    def insert(self, works: Mapping[int, Work]) -> None:
        raise InvalidRequest(f"Model '{self._spec.model.name}' writes no text.")

    def embed(self, ticket: int, work: EmbedWork) -> None:
        assert self._embeddings, "used before it was loaded"
        self._embeddings.add(ticket, work)

    def has_work(self) -> bool:
        if self._embeddings:
            return self._embeddings.has_work()
        return self._loading is None or self._loading.has_work()

    def step(self) -> list[Output]:
        if self._embeddings is None:
            return []
        outputs = self._embeddings.step()
        if not self._embeddings.has_work():
            import_library().mx.clear_cache()
        return outputs

    def remove(self, ticket: int) -> None:
        if self._embeddings:
            self._embeddings.remove(ticket)

    def close(self) -> None:
        self._loading = None
        self._embeddings = None
        self._prompter = None
        free()


def _embeddings(
    library: Library, loaded: LoadedFolder, tokenizer: Tokenizer, spec: LoadSpec
) -> Embeddings:
    mx, details = library.mx, spec.model.details
    if details.architecture not in ENCODERS:
        return decoder_embeddings(library, loaded, spec)
    _, after = tokenizer.around
    separator = after[0] if after and details.pooling == RANK else None
    return Embeddings(
        str(spec.model.name),
        lambda rows: _Encoding(mx, loaded.model, rows, details.pooling, separator),
        vocabulary_size=loaded.vocabulary_size,
        step_tokens=_step_tokens(mx, spec),
    )


def decoder_embeddings(library: Library, loaded: LoadedFolder, spec: LoadSpec) -> Embeddings:
    """Vectors of a decoder, of the hidden states that its next token would be made of.

    They are the last token's where it was made to write.
    """
    mx, model = library.mx, loaded.model
    size = _step_tokens(mx, spec)

    def hidden(tokens: Array, cache: list[Any]) -> Array:
        return model.model(tokens, cache=cache)

    def new_pass(rows: Sequence[tuple[int, ...]]) -> Pass:
        cache = library.make_prompt_cache(model)
        way = spec.model.details.pooling or "last"
        return Decoding(mx, hidden, cache, rows, way=way, step_tokens=size)

    return Embeddings(
        str(spec.model.name),
        new_pass,
        vocabulary_size=loaded.vocabulary_size,
        step_tokens=size,
    )


def _step_tokens(mx: ModuleType, spec: LoadSpec) -> int:
    on_cpu = mx.default_device() == mx.cpu
    return step_tokens(spec.model.details.parameter_count, on_cpu=on_cpu)


class _Encoding:
    """A ``Pass`` through an encoder: one step."""

    def __init__(
        self,
        mx: ModuleType,
        bert: Bert,
        rows: Sequence[tuple[int, ...]],
        way: str,
        separator: int | None,
    ) -> None:
        self._mx = mx
        self._bert = bert
        self._rows = rows
        self._way = way
        self._separator = separator

    def step(self) -> Vectors:
        tokens, mask = padded(self._mx, self._rows)
        hidden = self._bert.hidden(tokens, mask, self._separator)
        if self._way == RANK:
            return [tuple(row) for row in self._bert.scores(hidden).tolist()]
        pool = Pool(self._mx, self._way, [len(row) for row in self._rows])
        pool.add(hidden)
        return pool.vectors()


# -- Loading -------------------------------------------


def _for_vectors(library: Library, spec: LoadSpec) -> Library:
    """Return the library, with what loads a model that is not one of those that write."""
    if spec.model.details.architecture in ENCODERS:

        def load_bert(folder: Path, *, lazy: bool) -> tuple[Bert, dict[str, Any]]:
            assert lazy
            config = read_object(folder / "config.json")
            weights: dict[str, Array] = {}
            for path in sorted(folder.glob("model*.safetensors")):
                weights |= library.mx.load(str(path))
            return Bert(library.mx, config, weights), config

        return replace(library, load_model=load_bert, make_prompt_cache=_no_cache)

    def load_decoder(folder: Path, *, lazy: bool) -> tuple[Any, dict[str, Any]]:
        names = {
            tensor.name
            for path in folder.glob("model*.safetensors")
            for tensor in safetensors.read(path)
        }
        # What is not used for vectors may have been left out.
        changes = {} if any("lm_head." in name for name in names) else {"tie_word_embeddings": True}
        return library.load_model(
            folder, lazy=lazy, model_config=changes, get_model_classes=classes
        )

    def classes(config: dict[str, Any]) -> tuple[type[Any], type[Any]]:
        return _with_whole_names(*library.model_classes(config))

    return replace(library, load_model=load_decoder)


def _no_cache(model: object) -> list[Any]:
    return []


def _with_whole_names(model: type[Any], arguments: type[Any]) -> tuple[type[Any], type[Any]]:
    """Return a class that takes weights without "model." in their names.

    sentence-transformers writes them so. Read with ``strict=False`` they would all be passed
    over in silence, and the model would have random ones.
    """

    class Whole(model):
        def sanitize(self, weights: Mapping[str, Array]) -> Mapping[str, Array]:
            whole = {
                name if name.startswith(("model.", "lm_head.")) else f"model.{name}": array
                for name, array in weights.items()
            }
            theirs: Any = getattr(super(), "sanitize", dict)
            return theirs(whole)

    return Whole, arguments
