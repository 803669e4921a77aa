"""All that there is one of, opened together: what the window, the API and the command share."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app.settings import Settings, SettingsFile
from models import builtin
from models.engine import mlx_library
from models.engine.counting import Counter
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.roster import Runner
from models.model import Kind
from models.records.records import Records
from models.residency import Residency
from models.store import Store
from models.worker import PYTHON, Command

if TYPE_CHECKING:
    from server.listener import ApiServer


_SWITCH_SECONDS = 0.0005


def worker_command() -> Command:
    """Return what starts every process of ours.

    A packaged program is its own ``sys.executable``, which opens a window: what to start
    instead is said here.
    """
    return PYTHON


@dataclass(frozen=True, slots=True)
class Services:
    store: Store
    residency: Residency
    records: Records
    settings: SettingsFile

    def close(self) -> None:
        """Fail what is running, unload every model, write what is to be written, and wait."""
        self.residency.close()
        self.records.close()
        self.settings.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_everything(home: Path) -> Services:
    """Open what lies under ``home``, with the built-in model. Nothing is loaded yet, and the
    chats are read when somebody asks for them."""
    # A thread that computes in Python (a template, an import) makes every other wait this
    # long for each of its turns, and a token takes several turns on its way to a client.
    sys.setswitchinterval(_SWITCH_SECONDS)
    settings = SettingsFile(home)
    store = Store(home, builtin=builtin.FOLDER)
    store.sweep()
    command = worker_command()
    runners = {Kind.LLAMA: Runner(partial(open_llama, command=command))}
    if mlx_library.available():
        runners[Kind.MLX] = Runner(open_mlx, mlx_library.end_thread)
    residency = Residency(
        store.find,
        runners,
        keep_alive_seconds=settings.value.keep_alive_seconds,
        context_length=settings.value.context_length,
        counter=Counter(home, command=command),
    )
    services = Services(store, residency, Records(home), settings)
    settings.watch(lambda _was, now: _configure(services, now))
    return services


def api_server(services: Services, host: str, ports: Sequence[int]) -> "ApiServer":
    """Make the local API, not yet listening. Importing it takes half a second."""
    from server.app import create_app  # noqa: PLC0415
    from server.listener import ApiServer  # noqa: PLC0415

    hosts = services.settings.value.allowed_hosts
    return ApiServer(
        lambda: create_app(
            services.residency,
            services.store,
            host=host,
            hosts=hosts,
            worker_command=worker_command(),
        ),
        host,
        ports,
    )


def _configure(services: Services, settings: Settings) -> None:
    services.residency.configure(
        keep_alive_seconds=settings.keep_alive_seconds, context_length=settings.context_length
    )
