"""From an MLX folder to what runs, for every kind of backend; of what fails nothing is left."""

from collections.abc import Callable
from typing import Generic, TypeVar

from models.engine.backend import LoadSpec
from models.engine.mlx_library import free, import_library
from models.engine.mlx_load import Library, LoadedFolder, Loading
from models.errors import InferenceError

Runnable = TypeVar("Runnable")


class Opening(Generic[Runnable]):
    """Every call is made on the lane's thread.

    Args:
        wake: see ``Loading``.
        adapt: the library to what loads this kind of model.
        start: makes what runs of what is loaded.
    """

    def __init__(
        self,
        spec: LoadSpec,
        wake: Callable[[], None],
        *,
        adapt: Callable[[Library, LoadSpec], Library],
        start: Callable[[Library, LoadedFolder], Runnable],
    ) -> None:
        self.made: Runnable | None = None  # once it is loaded
        self._spec = spec
        self._wake = wake
        self._adapt = adapt
        self._start = start
        self._loading: Loading | None = None

    @property
    def loaded(self) -> Runnable:
        assert self.made is not None, "used before it was loaded"
        return self.made

    @property
    def loaded_bytes(self) -> int:
        return self._loading.loaded_bytes if self._loading else 0

    def has_work(self) -> bool:
        """Whether ``go_on`` would do something now; only until it is ``made``."""
        return self._loading is None or self._loading.has_work()

    def go_on(self) -> bool:
        """Load some more; return whether it is ``made``.

        Raises:
            LoadFailed, OutOfMemory
        """
        if self.made is not None:
            return True
        try:
            return self._go_on()
        except InferenceError as error:
            # The frames it came through hold half a model, and would for as long as some
            # window shows the error.
            failure = error.with_traceback(None)
            failure.__context__ = None
        self._loading = None
        free()
        raise failure

    def close(self) -> None:
        """Let go of it, and give its memory back."""
        self.made = self._loading = None
        free()

    def _go_on(self) -> bool:
        spec = self._spec
        if self._loading is None:
            library = self._adapt(import_library(), spec)
            self._loading = Loading(library, spec.model.path, self._wake, spec.adapters)
            return False
        loaded = self._loading.go_on()
        if loaded is None:
            return False
        self.made = self._start(self._loading.library, loaded)
        self._loading = None
        return True
