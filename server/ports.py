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
_THIS_COMPUTER = ("127.0.0.1", "localhost")
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
    """Return listening sockets for each port, or none at all. Port 0 is any free one.

    Where this computer alone is listened to, that is by both its addresses, as programs
    that call ``localhost`` may mean either.

    Raises:
        PortInUse, CannotListen
    """
    sockets: list[Listener] = []
    try:
        for port in ports:
            sockets += _listen_twice(host, port)
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
            for each in _listen_twice(host, candidate):
                each.close()
            return candidate
    raise PortInUse(port)


def _listen_twice(host: str, port: int) -> list[Listener]:
    listener = _listen(host, port)
    if host not in _THIS_COMPUTER or not _has_ipv6():
        return [listener]
    for _ in range(_MOST_TRIED):
        try:
            return [listener, _listen("::1", listener.getsockname()[1])]
        except PortInUse:
            listener.close()
            if port:
                raise
            listener = _listen(host, port)  # another that is free
    listener.close()
    raise PortInUse(port)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


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
