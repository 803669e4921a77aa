"""A model that runs in this process, on Apple's GPU: Backend over mlx_lm's batches.

``mlx_library.py`` has the library, ``mlx_load.py`` loads a folder bit by bit, and
``mlx_model.py`` is what is loaded.
"""

from collections.abc import Callable, Mapping

from models import adapters, facts
from models.engine.backend import Counters, EmbedWork, LoadSpec, Output, Work
from models.engine.installed import has_mlx_vlm
from models.engine.mlx_encoder import MlxEncoder
from models.engine.mlx_library import import_vision
from models.engine.mlx_load import Library, LoadedFolder
from models.engine.mlx_model import MlxModel
from models.engine.mlx_opening import Opening
from models.engine.mlx_seeing_load import SeeingFolder
from models.engine.prompt import Prompter
from models.prompt_files import PromptFiles


def open_mlx(
    spec: LoadSpec, wake: Callable[[], None], *, prompts: PromptFiles | None = None
) -> "MlxBackend | MlxEncoder":
    """Open a model. ``MlxBackend.load`` loads it, bit by bit.

    ``prompts`` outlive it; None: they do not.

    Raises:
        LoadFailed
    """
    facts.of_mlx(spec.model.path)  # mlx_lm would look for a missing file on the network
    adapters.check(spec.model, spec.adapters)
    if not spec.model.details.completes:
        return MlxEncoder(spec, wake)
    return MlxBackend(spec, wake, prompts)


class MlxBackend:
    """One MLX model and the sequences that run on it. A ``Backend``."""

    def __init__(
        self, spec: LoadSpec, wake: Callable[[], None], prompts: PromptFiles | None
    ) -> None:
        def start(library: Library, loaded: LoadedFolder) -> MlxModel:
            return MlxModel(library, loaded, spec, prompts, wake, self._seeing)

        self._seeing: SeeingFolder | None = None
        self._opening = Opening(spec, wake, adapt=self._adapt, start=start)

    # -- Loading --------------------------------------------------------------

    @property
    def prompter(self) -> Prompter:
        return self._loaded.prompter

    @property
    def loaded_bytes(self) -> int:
        return self._opening.loaded_bytes

    @property
    def counters(self) -> Counters:
        if self._opening.made is None:
            return Counters()
        runner = self._loaded.runner
        return Counters(
            prompt_cache_bytes=runner.prefixes.used_bytes,
            prompt_cache_hits=runner.prefixes.hits,
            prompt_cache_misses=runner.prefixes.misses,
            waiting_sequences=runner.waiting_sequences,
        )

    def load(self) -> bool:
        return self._opening.go_on()

    def _adapt(self, library: Library, spec: LoadSpec) -> Library:
        # An adapter is for mlx_lm's side alone, so such a model reads texts only.
        if not spec.model.details.vision or spec.adapters or not has_mlx_vlm():
            return library
        self._seeing = SeeingFolder(library, import_vision(), spec.model.path)
        return self._seeing.library

    @property
    def _loaded(self) -> MlxModel:
        return self._opening.loaded

    # -- Sequences ------------------------------------------------------------

    def insert(self, works: Mapping[int, Work]) -> None:
        self._loaded.insert(works)

    def embed(self, ticket: int, work: EmbedWork) -> None:
        self._loaded.embeddings.add(ticket, work)

    def remove(self, ticket: int) -> None:
        self._loaded.embeddings.remove(ticket)
        self._loaded.runner.remove(ticket)

    def has_work(self) -> bool:
        if self._opening.made:
            return self._loaded.runner.has_work or self._loaded.embeddings.has_work()
        return self._opening.has_work()

    def step(self) -> list[Output]:
        vectors = self._loaded.embeddings.step()
        runner = self._loaded.runner
        return vectors + runner.step() if runner.has_work else vectors

    # -- The end --------------------------------------------------------------

    def close(self) -> None:
        if self._opening.made:
            self._loaded.close()
        self._opening.close()
