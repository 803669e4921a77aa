"""``ingle serve``: the API server, without a window."""

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType

from app import words
from app.commands import CommandFailed
from app.services import api_server, open_everything
from models import paths
from server.keys import key_needed
from server.listener import ApiServer
from server.ports import CannotListen, PortInUse, next_free_port

_CHECK_SECONDS = 0.5


def serve(host: str | None, ports: Sequence[int] | None) -> int:
    """Serve until SIGINT or SIGTERM."""
    stop = threading.Event()
    _stop_on_signals(stop)
    with open_everything(paths.home()) as services:
        settings = services.settings.value
        host = host or settings.host
        server = api_server(services, host, ports or settings.ports)
        _start(server, host)
        try:
            for port in server.ports:
                print(f"Inglenook answers on http://{words.address(host, port)}", flush=True)
            if key_needed(settings.api_keys, host) and not services.keys.all():
                print("An API key is needed: 'ingle key add NAME' makes one.", flush=True)
            while not stop.wait(_CHECK_SECONDS):
                if not server.running:
                    raise CommandFailed("The server has stopped unexpectedly: see above.")
        finally:
            server.stop()
    return 0


def _start(server: ApiServer, host: str) -> None:
    try:
        server.start()
    except PortInUse as error:
        try:
            free = next_free_port(host, error.port + 1)
        except CannotListen:
            raise CommandFailed(str(error)) from None
        raise CommandFailed(
            f"Port {error.port} is in use by another program: stop that one, "
            f"or use the next free port with 'ingle serve --port {free}'."
        ) from None
    except CannotListen as error:
        raise CommandFailed(str(error)) from None


def _stop_on_signals(stop: threading.Event) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():  # asked twice: do not wait for anybody
            os._exit(128 + number)
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, on_signal)
