"""What the benchmarks share: a server of their own, a table, and the middle of some runs."""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
# The console script of pyproject.toml, whether or not it is installed.
INGLE = (sys.executable, "-c", "import sys; from app.cli import main; sys.exit(main())")
START_SECONDS = 30.0
POLL_SECONDS = 0.002
JSON = dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """The same thing measured several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, unit: str = "", digits: int = 2) -> str:
        low, high = min(self.values), max(self.values)
        return f"{self.median:.{digits}f}{unit} ({low:.{digits}f}–{high:.{digits}f})"


def ratios(ours: Runs, theirs: Runs) -> Runs:
    """Of each pair measured one after the other, so that a slow minute slows both."""
    return Runs([a / b for a, b in zip(ours.values, theirs.values, strict=True)])


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Each row is printed when it is there: some take minutes."""
    print(f"| {' | '.join(header)} |")
    print("|" + "---|" * len(header), flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print(flush=True)


def machine() -> str:
    """One line on where the numbers are from."""
    memory = psutil.virtual_memory().total / (1 << 30)
    load = os.getloadavg()[0]
    return (
        f"{sys.platform}, {psutil.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {sys.version.split()[0]}, load average {load:.1f} at the start"
    )


class Server:
    """``ingle serve`` in a process of its own, spoken to over HTTP."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [*INGLE, "serve", "--port", str(self.port)],
            cwd=REPOSITORY,
            env={**os.environ, "INGLENOOK_HOME": str(home)},
            stdout=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        """Return with the first answer. Raises TimeoutError where none comes."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/health")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except OSError:
                time.sleep(POLL_SECONDS)
            finally:
                connection.close()
        raise TimeoutError(f"ingle serve did not answer within {START_SECONDS:.0f} s")

    def stream(self, path: str, body: JSON) -> Iterator[bytes]:
        """POST, and yield the lines of the answer as they come."""
        return stream(self.port, path, body)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """End it with its children, stuck or not."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # it went with its parent
                child.kill()

    def children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def stream(port: int, path: str, body: JSON) -> Iterator[bytes]:
    """POST, and yield the lines of the answer as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(response.read().decode())
        yield from response
    finally:
        connection.close()


@contextmanager
def serve(home: Path) -> Generator[Server]:
    server = Server(home)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
