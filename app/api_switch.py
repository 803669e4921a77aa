"""The local API, on or off: a view-model that keeps the window from waiting for sockets."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app import background, words
from app.settings import Settings, SettingsFile
from server.ports import CannotListen, PortInUse, next_free_port

if TYPE_CHECKING:
    from server.listener import ApiServer

log = logging.getLogger(__name__)


class ApiState(Enum):
    OFF = auto()
    STARTING = auto()
    ON = auto()
    STOPPING = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class _Result:
    ports: tuple[int, ...] = ()
    problem: str = ""
    taken: int = 0  # a port that another program has
    offer: int | None = None


class ApiSwitch(QObject):
    """Starts and stops the server on a thread of its own, one thing after another.

    Args:
        make_server: makes a server for a host and ports. It is called on that thread, so
            what it imports costs the window nothing.
    """

    changed = Signal()

    def __init__(
        self,
        settings: SettingsFile,
        make_server: "Callable[[str, Sequence[int]], ApiServer]",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._make_server = make_server
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="api-switch")
        self._server: ApiServer | None = None
        self._result = _Result()
        self._underway = 0  # starts and stops that have not ended
        self._state = ApiState.OFF
        self._closed = False
        settings.watch(self._on_settings_changed)

    @property
    def state(self) -> ApiState:
        return self._state

    @property
    def on(self) -> bool:
        """Whether it is wanted: on, or on its way there."""
        return self._state in (ApiState.STARTING, ApiState.ON)

    @property
    def address(self) -> str:
        """Return where clients find it, as ``127.0.0.1:11434``; empty while it is off."""
        if not self._result.ports:
            return ""
        return words.own_address(self._settings.value.host, self._result.ports[0])

    @property
    def problem(self) -> str:
        """One sentence on why it is off, where that was not asked for."""
        return self._result.problem

    @property
    def offer(self) -> int | None:
        """A port that is free, where the one that was wanted is not."""
        return self._result.offer

    def restore(self) -> None:
        """Start it, if it was on when the program was used last."""
        if self._settings.value.api_enabled:
            self.start()

    def toggle(self) -> None:
        if self.on:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        self._settings.change(api_enabled=True)
        self._do(ApiState.STARTING, self._start)

    def stop(self) -> None:
        self._settings.change(api_enabled=False)
        self._do(ApiState.STOPPING, self._stop)

    def use_offer(self) -> None:
        """Move to the free port, from now on."""
        taken, offer = self._result.taken, self._result.offer
        if offer is not None:
            ports = self._settings.value.ports
            moved = tuple(offer if port == taken else port for port in ports)
            self._settings.change(ports=moved)  # and it is started anew

    def close(self) -> None:
        """Stop the server, and wait for that: about a second at most."""
        self._closed = True
        self._thread.submit(self._stop)
        self._thread.shutdown()

    def _do(self, state: ApiState, work: "Callable[[], _Result]") -> None:
        self._result = _Result()
        self._underway += 1
        self._set(state)
        background.deliver(self._thread.submit(work), self._on_ended, self)

    def _on_settings_changed(self, was: Settings, now: Settings) -> None:
        concerns = ("host", "ports", "allowed_hosts", "api_keys")
        if any(getattr(was, key) != getattr(now, key) for key in concerns) and self._wanted:
            self.start()

    @property
    def _wanted(self) -> bool:
        return self.on or self._state is ApiState.FAILED

    def _on_ended(self, result: _Result) -> None:
        self._underway -= 1
        if self._underway or self._closed:
            return  # it was switched again meanwhile, or the program ends
        self._result = result
        if self._result.problem:
            self._set(ApiState.FAILED)
        else:
            self._set(ApiState.ON if self._result.ports else ApiState.OFF)

    def _set(self, state: ApiState) -> None:
        self._state = state
        self.changed.emit()

    # -- The switch's own thread ----------------------------------------------

    def _start(self) -> _Result:
        self._stop()
        settings = self._settings.value
        try:
            server = self._make_server(settings.host, settings.ports)
            server.start()
        except CannotListen as error:
            return _refused(error, settings.host)
        except Exception:
            log.exception("The local API could not be started")
            return _Result(problem="The local API could not be started: see the log.")
        self._server = server
        return _Result(ports=server.ports)

    def _stop(self) -> _Result:
        server, self._server = self._server, None
        if server:
            server.stop()
        return _Result()


def _refused(error: CannotListen, host: str) -> _Result:
    if not isinstance(error, PortInUse):
        return _Result(problem=f"The local API is off. {error}")
    try:
        offer = next_free_port(host, error.port + 1)
    except CannotListen:
        offer = None
    problem = f"Port {error.port} is in use by another program, so the local API is off."
    return _Result(problem=problem, taken=error.port, offer=offer)
