"""Ports to listen on: taken only when nobody else has them."""

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakSet

_BACKLOG = 128
_PROBE_SECONDS = 0.2
_MOST_TRIED = 100
_HIGHEST = 65535
_NO_ADDRESS = (OverflowError, UnicodeError)  # what Python says of a port or a name that is none


class CannotListen(Exception):
    """``str(error)`` is one sentence that a person can act on."""


class PortInUse(CannotListen):
    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} is in use by another program: stop that one, or choose another port."
        )
        self.port = port


class Listener(socket.socket):
    """A listening socket that can hang up on everyone it has let in."""

    def __init__(self, family: socket.AddressFamily) -> None:
        # With its protocol named, asyncio sends small pieces at once (TCP_NODELAY).
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._accepted: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        self._accepted.add(connection)
        return connection, address

    def hang_up(self) -> None:
        for connection in list(self._accepted):
            with suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)


def listen(host: str, ports: Sequence[int]) -> list[Listener]:
    """Return a listening socket for each port, or none at all. Port 0 is any free one.

    Raises:
        PortInUse, CannotListen
    """
    sockets: list[Listener] = []
    try:
        for port in ports:
            sockets.append(_listen(host, port))
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def next_free_port(host: str, port: int) -> int:
    """Return ``port``, or the next after it that is free.

    Raises:
        PortInUse: the next hundred are taken too.
        CannotListen
    """
    for candidate in range(port, min(port + _MOST_TRIED, _HIGHEST + 1)):
        with suppress(PortInUse):
            _listen(host, candidate).close()
            return candidate
    raise PortInUse(port)


def _listen(host: str, port: int) -> Listener:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port and _is_answered(family, host, port):
        raise PortInUse(port)
    listener = Listener(family)
    try:
        # Without it a port could not be used again until old connections are forgotten.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, *_NO_ADDRESS) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from None
        why = error.strerror if isinstance(error, OSError) else error
        raise CannotListen(f"Nothing can listen on {host!r}, port {port}: {why}.") from None
    listener.setblocking(False)
    return listener


def _is_answered(family: socket.AddressFamily, host: str, port: int) -> bool:
    """macOS lets 127.0.0.1 be taken from under a server that has every address."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    with socket.socket(family) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect((everywhere.get(host, host), port))
        except (OSError, *_NO_ADDRESS):
            return False
        # A socket can be given its own goal for an origin, and so reach itself.
        return probe.getsockname() != probe.getpeername()
