"""The store and the engines, opened together: what the window, the API and the command share."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.settings import Settings
from models import builtin
from models.engine import mlx_library
from models.engine.counting import Counter
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.roster import Runner
from models.model import Kind
from models.residency import Residency
from models.store import Store


def worker_command() -> tuple[str, ...]:
    """Return what starts a process of ours: Python, deaf to the folder it is started in.

    A packaged program is its own ``sys.executable``, which opens a window: what to start
    instead is said here.
    """
    return (sys.executable, "-I")


@dataclass(frozen=True, slots=True)
class Services:
    store: Store
    residency: Residency

    def close(self) -> None:
        """Fail what is running, unload every model, and wait for both."""
        self.residency.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_services(home: Path, settings: Settings) -> Services:
    """Open the models under ``home``, with the built-in one. Loads nothing yet."""
    store = Store(home, builtin=builtin.FOLDER)
    store.sweep()
    runners = {Kind.LLAMA: Runner(open_llama)}
    if mlx_library.available():
        runners[Kind.MLX] = Runner(open_mlx, mlx_library.end_thread)
    residency = Residency(
        store.find,
        runners,
        keep_alive_seconds=settings.keep_alive_seconds,
        context_length=settings.context_length,
        counter=Counter(home),
    )
    return Services(store, residency)
