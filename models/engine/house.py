"""What a lane is given by the one that made it, and what it asks of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from models.engine.backend import LoadSpec, OpenBackend
from models.model import Model


@dataclass(frozen=True, slots=True)
class Runner:
    """How one kind of model is run. ``end_thread`` is the last call on its thread."""

    open_backend: OpenBackend
    end_thread: Callable[[], None] | None = None


class House(Protocol):
    """What a lane asks of the one that made it. Everything is quick, and for any thread."""

    def keep_alive_seconds(self) -> float: ...

    def plan(
        self, waiter: object, look: Callable[[], None], model: Model, asked_context: int | None
    ) -> LoadSpec | None:
        """Decide how to load a model, and reserve the memory; None: ``look`` is called then.

        Raises:
            OutOfMemory: there will never be room.
        """
        ...

    def drafts_lost(self, spec: LoadSpec) -> None:
        """From now on the model is planned without the drafts that its profile has."""
        ...

    def loaded(self, spec: LoadSpec) -> None: ...
    def let_go(self, spec: LoadSpec) -> None: ...
    def gave_up(self, waiter: object) -> None: ...
