"""A SOCKS 5 proxy of our own (RFC 1928, CONNECT alone), which remembers what it was asked for."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NO_PASSWORD, _SUCCEEDED = b"\x05\x00", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
_IPV4, _NAME = 1, 3


class SocksProxy(socketserver.ThreadingTCPServer):
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.asked_for: set[tuple[str, int]] = set()


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, SocksProxy)
        self._take(self._take(2)[1])  # how we may sign in
        self.request.sendall(_NO_PASSWORD)
        kind = self._take(4)[3]
        if kind == _IPV4:
            host = socket.inet_ntoa(self._take(4))
        else:
            assert kind == _NAME
            host = self._take(self._take(1)[0]).decode()
        port = int.from_bytes(self._take(2), "big")
        self.server.asked_for.add((host, port))
        with socket.create_connection((host, port)) as target:
            self.request.sendall(_SUCCEEDED)
            back = threading.Thread(target=_carry, args=(target, self.request))
            back.start()
            _carry(self.request, target)
            back.join()

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                raise ConnectionError("The client has hung up.")
            data += piece
        return data


@contextmanager
def socks_proxy() -> Iterator[SocksProxy]:
    with SocksProxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), name="socks-proxy")
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
