"""A server of the tests on a thread: what the fake hub and the fake registry have in common."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Fake(Protocol):
    go_on: threading.Event  # what is held up goes on


class FakeHandler(BaseHTTPRequestHandler):
    """HTTP/1.0: a connection for each request, so no thread waits for a client to come back."""

    fake: Any

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(fake: Fake, handler: type[FakeHandler]) -> Iterator[str]:
    """Yield the host and port at which ``handler`` answers for ``fake``."""
    bound = type(handler.__name__, (handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="fake-http")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        fake.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
