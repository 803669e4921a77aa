"""An MLX model that makes vectors and nothing else: an encoder, or a decoder made for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from models.engine.mlx_library import import_library
from models.engine.mlx_load import Library, LoadedFolder
from models.engine.mlx_opening import Opening
from models.engine.prompt import Prompter
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest
from models.facts import ENCODERS
from models.json_file import read_object
from models.pooling import RANK


class MlxEncoder:
    """A ``Backend``. What it is asked to complete is refused."""

    def __init__(self, spec: LoadSpec, wake: Callable[[], None]) -> None:
        self._spec = spec

        def start(library: Library, loaded: LoadedFolder) -> _Runnable:
            tokenizer = tokenizer_of(loaded.tokenizer, whole=True)
            return _Runnable(
                Prompter(None, tokenizer, spec.context_length),
                _embeddings(library, loaded, tokenizer, spec),
            )

        self._opening = Opening(spec, wake, adapt=_for_vectors, start=start)

    @property
    def prompter(self) -> Prompter:
        return self._opening.loaded.prompter

    @property
    def loaded_bytes(self) -> int:
        return self._opening.loaded_bytes

    @property
    def counters(self) -> Counters:
        return Counters()

    def load(self) -> bool:
        return self._opening.go_on()

    def insert(self, works: Mapping[int, Work]) -> None:
        raise InvalidRequest(f"Model '{self._spec.model.name}' writes no text.")

    def embed(self, ticket: int, work: EmbedWork) -> None:
        self._opening.loaded.embeddings.add(ticket, work)

    def has_work(self) -> bool:
        if made := self._opening.made:
            return made.embeddings.has_work()
        return self._opening.has_work()

    def step(self) -> list[Output]:
        embeddings = self._opening.loaded.embeddings
        outputs = embeddings.step()
        if not embeddings.has_work():
            import_library().mx.clear_cache()
        return outputs

    def remove(self, ticket: int) -> None:
        if made := self._opening.made:
            made.embeddings.remove(ticket)

    def close(self) -> None:
        self._opening.close()


@dataclass(frozen=True, slots=True)
class _Runnable:
    prompter: Prompter
    embeddings: Embeddings


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
