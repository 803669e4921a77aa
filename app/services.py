"""All that there is one of, opened together: what the window, the API and the command share."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app.open_files import raise_limit
from app.settings import Settings, SettingsFile
from models import builtin
from models.engine.backend import Backend, LoadSpec
from models.engine.house import Runner
from models.engine.installed import has_mlx
from models.hub import Hub
from models.model import Kind
from models.pictures import Pictures
from models.prompt_files import PromptFiles
from models.records.records import Records
from models.residency import Counting, Residency
from models.store import Store
from models.web_addresses import Allowed
from models.worker import PYTHON, Command
from server.keys import Keys, key_needed

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
    prompts: PromptFiles
    keys: Keys
    hub: Hub

    def close(self) -> None:
        """Fail what is running, unload every model, write what is to be written, and wait."""
        self.residency.close()
        self.prompts.close()
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
    raise_limit()
    settings = SettingsFile(home)
    store = Store(home, builtin=builtin.FOLDER)
    store.sweep()
    prompts = PromptFiles(home, settings.value.disk_cache_bytes)
    runners = {Kind.LLAMA: Runner(partial(_open_llama, prompts))}
    if has_mlx():
        runners[Kind.MLX] = Runner(partial(_open_mlx, prompts), _end_mlx)
    pictures = Pictures(Allowed.of(settings.value.picture_hosts))
    residency = Residency(
        store.find,
        runners,
        keep_alive_seconds=settings.value.keep_alive_seconds,
        context_length=settings.value.context_length,
        make_counter=partial(_counter, home),
        pictures=pictures,
    )
    services = Services(store, residency, Records(home), settings, prompts, Keys(home), Hub(store))
    settings.watch(lambda _was, now: _configure(services, pictures, now))
    return services


def api_server(services: Services, host: str, ports: Sequence[int]) -> "ApiServer":
    """Make the local API, not yet listening. Importing it takes half a second."""
    from server.app import create_app  # noqa: PLC0415
    from server.key_check import KeyCheck  # noqa: PLC0415
    from server.listener import ApiServer  # noqa: PLC0415

    settings = services.settings.value
    needs_key = key_needed(settings.api_keys, host)
    return ApiServer(
        lambda: create_app(
            services.residency,
            services.store,
            host=host,
            hosts=settings.allowed_hosts,
            keys=KeyCheck(services.keys) if needs_key else None,
            records=services.records,
            worker_command=worker_command(),
            hub=services.hub,
        ),
        host,
        ports,
    )


# -- The engines, imported when something is asked of them: no start needs them ------


def _open_llama(prompts: PromptFiles, spec: LoadSpec, wake: Callable[[], None]) -> Backend:
    from models.engine.llama import open_llama  # noqa: PLC0415

    return open_llama(spec, wake, command=worker_command(), prompts=prompts)


def _open_mlx(prompts: PromptFiles, spec: LoadSpec, wake: Callable[[], None]) -> Backend:
    from models.engine.mlx import open_mlx  # noqa: PLC0415

    return open_mlx(spec, wake, prompts=prompts)


def _end_mlx() -> None:
    from models.engine.mlx_library import end_thread  # noqa: PLC0415

    end_thread()


def _counter(home: Path) -> Counting:
    from models.engine.counting import Counter  # noqa: PLC0415

    return Counter(home, command=worker_command())


def _configure(services: Services, pictures: Pictures, settings: Settings) -> None:
    services.residency.configure(
        keep_alive_seconds=settings.keep_alive_seconds, context_length=settings.context_length
    )
    services.prompts.most_bytes = settings.disk_cache_bytes
    pictures.allowed = Allowed.of(settings.picture_hosts)
