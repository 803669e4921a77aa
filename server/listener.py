"""The API server: one Hypercorn on a thread of its own, answering on several ports.

Hypercorn 0.18 stops only when every connection has closed by itself (pgjones/hypercorn
issue 308, Python 3.12.1 and later), so an open stream or half a request would hold it
for ever; and a cancelled one still waits for its client to read. Ours gives them a
moment, and then hangs up.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType]  # its own hints
from hypercorn.config import Config, Sockets

from models.errors import EngineClosed
from server.app import Api
from server.connection import end_with_clients
from server.ports import Listener, listen

log = logging.getLogger(__name__)

_GRACE_SECONDS = 0.5  # for open requests to end, once stopping
_FAREWELL_SECONDS = 0.5  # for them to notice that we have hung up


class ApiServer:
    """Serves what ``make_app`` makes, anew at each start. Call it from any thread.

    With port 0 any free port is taken: see ``ports``.
    """

    def __init__(self, make_app: Callable[[], Api], host: str, ports: Sequence[int]) -> None:
        self._make_app = make_app
        self._host = host
        self._wanted = tuple(ports)
        self._lock = threading.Lock()  # one start or stop at a time
        self._serving: _Serving | None = None

    @property
    def running(self) -> bool:
        serving = self._serving
        return serving is not None and serving.alive

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports answered on; none while it is stopped."""
        serving = self._serving
        return serving.ports if serving and serving.alive else ()

    def start(self) -> None:
        """Return when the server answers. Harmless while it runs.

        Raises:
            PortInUse: another program has one of the ports; none is taken then.
            CannotListen: the address is not ours, or the port is not allowed.
        """
        with self._lock:
            if not self.running:
                sockets = listen(self._host, self._wanted)
                self._serving = _Serving(self._make_app, sockets)
                self._serving.wait_until_up()

    def stop(self) -> None:
        """End open requests and free the ports: in about a second at most. Harmless twice."""
        with self._lock:
            serving, self._serving = self._serving, None
            if serving:
                serving.stop()


class _Serving:
    """One run of the server, from its start to its stop."""

    def __init__(self, make_app: Callable[[], Api], sockets: list[Listener]) -> None:
        ports: list[int] = [each.getsockname()[1] for each in sockets]
        self.ports = tuple(dict.fromkeys(ports))  # each may have two addresses
        self._make_app = make_app
        self._sockets = sockets
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    # -- Any thread ----------------------------------------

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def wait_until_up(self) -> None:
        self._up.wait()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        if self._loop:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    # -- The server thread ---------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop().set_exception_handler(self._on_loop_exception)
                runner.run(self._serve())
        except BaseException as error:
            log.exception("The API server has failed")
            self._failure = error
        finally:
            for each in self._sockets:
                each.close()
            self._up.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = self._make_app()
        try:
            await self._serve_app(app)
        finally:
            await asyncio.to_thread(app.close)

    async def _serve_app(self, app: Api) -> None:
        app.before_serving(self._say_up)
        end_with_clients()
        config = _Config(self._sockets)
        serving = asyncio.create_task(serve(app, config, shutdown_trigger=self._stopping.wait))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        app.streams.end_all(EngineClosed("The local API has been switched off."))
        await asyncio.wait({serving}, timeout=_GRACE_SECONDS)
        for each in self._sockets:
            each.hang_up()
        await asyncio.wait({serving}, timeout=_FAREWELL_SECONDS)
        if serving.done():
            serving.result()  # raises what ended it

    async def _say_up(self) -> None:
        self._up.set()

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # What breaks while connections are being cut is no news.
        level = logging.DEBUG if self._stopping.is_set() else logging.ERROR
        log.log(level, "%s", context.get("message"), exc_info=context.get("exception"))


class _Config(Config):
    """Hypercorn's settings, and the sockets to use instead of its own."""

    accesslog = None
    errorlog = None
    include_server_header = False
    keep_alive_timeout = 75.0  # idle seconds; Hypercorn's 5 break clients that pool
    graceful_timeout = 60.0  # ours is shorter, and works

    def __init__(self, sockets: list[Listener]) -> None:
        self._sockets = sockets

    def create_sockets(self) -> Sockets:
        return Sockets([], [*self._sockets], [])
