"""How long another thread of the program stands still while a large body is read.

    python -m benchmarks.large_bodies [MEGABYTES]

The server answers on a real socket, and the model that is asked for is not there, so that
what is measured is the body alone. The longest pause is that of a thread which does nothing
but look at the clock each millisecond: the window and the engines are such threads.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from models.residency import Residency
from models.store import Store
from server.app import create_app
from server.listener import ApiServer

HOST = "127.0.0.1"


class LongestPause:
    """Of a thread that wakes each millisecond, within a ``with``."""

    def __enter__(self) -> "LongestPause":
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._over.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            self.seconds = max(self.seconds, now - last)
            last = now


def bodies(size: int) -> Iterator[tuple[str, bytes]]:
    for name, text in (
        ("English", "The quick brown fox jumps over the lazy dog, again. "),
        ("Chinese", "敏捷的棕色狐狸跳过了懒狗。"),
        ("escaped", '\\u654f\\n\\ud83d\\ude00 \\"'),
    ):
        piece = text.encode()
        message = b'{"model":"nothere","messages":[{"role":"user","content":"'
        yield name, message + piece * (size // len(piece)) + b'"}]}'
    url = b'{"type":"image_url","image_url":"data:image/png;base64,'
    message = b'{"model":"nothere","messages":[{"role":"user","content":['
    yield "a picture", message + url + b"iVBO" * (size // 4) + b'"}]}]}'
    objects = b'{"a":1},' * (size // 8)
    yield "objects", b'{"model":"nothere","messages":[' + objects + b'{"a":1}]}'


def send(port: int, data: bytes) -> tuple[int, float]:
    """Send in pieces, which lets go of the GIL; return the status and the seconds it took."""
    connection = HTTPConnection(HOST, port, timeout=300)
    begun = time.perf_counter()
    pieces = (data[start : start + 65_536] for start in range(0, len(data), 65_536))
    connection.request("POST", "/api/chat", pieces, {"Content-Length": str(len(data))})
    response = connection.getresponse()
    response.read()
    seconds = time.perf_counter() - begun
    connection.close()
    return response.status, seconds


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as home:
        measure(Store(Path(home), None), megabytes)


def measure(store: Store, megabytes: int) -> None:
    residency = Residency(store.find, {})
    server = ApiServer(lambda: create_app(residency, store, host=HOST), HOST, [0])
    server.start()
    with LongestPause() as nothing:
        time.sleep(5)
    print(f"{'nothing sent':>12}: longest pause {nothing.seconds * 1000:6.0f} ms")
    for name, data in bodies(megabytes << 20):
        with LongestPause() as pause:
            status, seconds = send(server.ports[0], data)
        print(
            f"{name:>12}: longest pause {pause.seconds * 1000:6.0f} ms, "
            f"status {status} after {seconds:.1f} s"
        )
    server.stop()
    residency.close()


if __name__ == "__main__":
    main()
