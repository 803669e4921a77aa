"""What the server costs: CPU time a token, and the time that a list of 200 models takes.

    python -m benchmarks.server_cost [--runs N]

An engine that says what it is told speaks through the real server to 1, 8 and 32 real
sockets, whose clients have a process of their own. Paced, each stream has a token every
20 ms; unpaced, as fast as the engine can. A bare loop that writes ready bytes stands beside
them. The CPU clocks of threads are read, which Linux has and macOS lacks.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from app.services import open_everything
from benchmarks.clients import HOST, LAST_CHUNK, Drained, Streams, drain_all, post
from benchmarks.isolation_models import POCKET
from benchmarks.measure import JSON, Runs, machine, print_table, serve
from models.engine.backend import Output
from models.store import Store
from server.app import create_app
from server.listener import ApiServer
from tests.fakes import ScriptedBackend, a_model, scripted_residency

SOCKETS = (1, 8, 32)
GOALS = {1: 80.0, 32: 50.0}  # microseconds a token, both threads together
TOKEN_SECONDS = 0.02
PACED_TOKENS = 250  # of each stream
UNPACED_TOKENS = 6400  # of all streams together
CONTEXT_TOKENS = 16_384
PATHS = ("/v1/chat/completions", "/api/chat")
BARE = "a bare loop"
HEAD_END = b"\r\n\r\n"
BARE_HEAD = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
_PIECE = b'{"response":". "}'.ljust(200)
BARE_PIECE = b"%x\r\n%s\r\n" % (len(_PIECE), _PIECE)
LISTS = ("/v1/models", "/api/tags")
SETTLE_SECONDS = 3.0
LISTED_MODELS = 200
LIST_GOAL_MS = 5.0
LIST_REQUESTS = 50
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.002

Clients: TypeAlias = "Connection[Streams | None, Drained]"
"""The link to a process of clients."""


class Speaker(ScriptedBackend):
    """Says nothing until ``go`` is set, and then a token of each stream every so often."""

    def __init__(self, go: threading.Event, token_seconds: float) -> None:
        super().__init__(context_length=CONTEXT_TOKENS)
        self._go = go
        self._token_seconds = token_seconds
        self._due = 0.0

    def step(self) -> list[Output]:
        if not self._go.is_set():
            time.sleep(_POLL_SECONDS)
            return self.admitted()
        self._due = wait_until_due(self._due, self._token_seconds)
        return super().step()


def wait_until_due(latest: float, seconds: float) -> float:
    """Sleep until so long after the latest time, and return that moment; now if it is past."""
    due = max(latest + seconds, perf_counter())
    time.sleep(max(0.0, due - perf_counter()))
    return due


@dataclass(frozen=True)
class Cost:
    """CPU microseconds a token."""

    engine: float
    server: float
    tokens_a_write: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the server costs.")
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    print(f"{machine()}; median (lowest–highest) of {runs}\n")
    header = [
        "path",
        "sockets",
        "pace",
        "engine, µs",
        "server, µs",
        "together, µs",
        "goal",
        "a write",
    ]
    with clients() as link:
        measure(link, PATHS[0], SOCKETS[0], paced=False)  # see everything once
        print_table(header, cost_rows(link, runs))
    print_table(
        [f"{LISTED_MODELS} models", "ms", f"goal ≤ {LIST_GOAL_MS:g} ms"],
        list_rows(),
    )


# -- A token -------------------------------------------------------------------


def cost_rows(link: Clients, runs: int) -> Iterator[Sequence[str]]:
    for path in (*PATHS, BARE):
        for sockets in SOCKETS:
            for paced in (True, False):
                costs = [measure(link, path, sockets, paced=paced) for _ in range(runs)]
                together = Runs([each.engine + each.server for each in costs])
                yield [
                    path,
                    str(sockets),
                    "50 tokens/s" if paced else "unpaced",
                    Runs([each.engine for each in costs]).text(digits=0),
                    Runs([each.server for each in costs]).text(digits=0),
                    together.text(digits=0),
                    judged(together.median, None if path == BARE else GOALS.get(sockets)),
                    Runs([each.tokens_a_write for each in costs]).text(digits=2),
                ]


def judged(value: float, goal: float | None) -> str:
    return "–" if goal is None else f"≤ {goal:g}: {'met' if value <= goal else 'MISSED'}"


def measure(link: Clients, path: str, sockets: int, *, paced: bool) -> Cost:
    tokens = PACED_TOKENS if paced else UNPACED_TOKENS // sockets
    token_seconds = TOKEN_SECONDS if paced else 0.0
    go = threading.Event()
    server = bare(go, token_seconds, tokens) if path == BARE else serving(go, token_seconds)
    with server as port:
        link.send(streams_of(port, path, sockets, tokens))
        wait_for(link)  # each has the head of its answer
        before = cpu_seconds()
        go.set()
        drained = wait_for(link)
        after = cpu_seconds()
    total = sockets * tokens
    if drained.count != total:
        raise RuntimeError(f"{drained.count} tokens came of {total}")
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    of_server = sum(seconds for name, seconds in spent.items() if name.startswith("server"))
    return Cost(
        engine=1e6 * (sum(spent.values()) - of_server) / total,
        server=1e6 * of_server / total,
        tokens_a_write=total / drained.writes,
    )


@contextmanager
def bare(go: threading.Event, token_seconds: float, tokens: int) -> Generator[int]:
    """The least that two threads, a loop and sockets cost in Python: nothing is made anew."""
    loop = asyncio.new_event_loop()
    read = threading.Event()  # what it all cost
    writers: list[asyncio.StreamWriter] = []

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(HEAD_END)
        writer.write(BARE_HEAD)
        writers.append(writer)

    def write(piece: bytes) -> None:
        for writer in writers:
            writer.write(piece)

    def end() -> None:
        listening.close()
        for writer in writers:
            writer.write(LAST_CHUNK)
            writer.close()

    def speak() -> None:
        go.wait()
        due = 0.0
        for _ in range(tokens):
            due = wait_until_due(due, token_seconds)
            loop.call_soon_threadsafe(write, BARE_PIECE)
        loop.call_soon_threadsafe(end)
        read.wait()  # its clock goes with it

    listening = loop.run_until_complete(asyncio.start_server(begin, HOST, 0))
    threads = [
        threading.Thread(target=loop.run_forever, name="server-bare"),
        threading.Thread(target=speak, name="engine-bare"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        read.set()
        loop.call_soon_threadsafe(loop.stop)
        for thread in threads:
            thread.join()
        loop.close()


@contextmanager
def serving(go: threading.Event, token_seconds: float) -> Generator[int]:
    """Serve what a speaker says, through our own server; yields the port."""
    speaker = Speaker(go, token_seconds)
    with tempfile.TemporaryDirectory() as folder:
        residency = scripted_residency(speaker, a_model(context_length=CONTEXT_TOKENS))
        store = Store(Path(folder), builtin=None)
        server = ApiServer(lambda: create_app(residency, store, host=HOST), HOST, [0])
        server.start()
        try:
            yield server.ports[0]
        finally:
            server.stop()
            residency.close()


@contextmanager
def clients() -> Generator[Clients]:
    """A process of clients, for all that is measured."""
    link, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=drain_all, args=(theirs,))
    process.start()
    try:
        yield link
    finally:
        link.send(None)
        process.join()


def streams_of(port: int, path: str, sockets: int, tokens: int) -> Streams:
    body: JSON = {
        "model": "scripted",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "max_tokens": tokens,
        "options": {"num_predict": tokens},
    }
    asked = post(path, json.dumps(body).encode())
    return Streams(port, [asked] * sockets, b'". "')


def wait_for(link: Clients) -> Drained:
    if not link.poll(_WAIT_SECONDS):
        raise TimeoutError("the clients have not been answered")
    return link.recv()


def cpu_seconds() -> dict[str, float]:
    """Of each thread but this one, by its name."""
    return {
        f"{thread.name} {thread.ident}": time.clock_gettime(
            time.pthread_getcpuclockid(thread.ident)
        )
        for thread in threading.enumerate()
        if thread.ident and thread is not threading.current_thread()
    }


# -- A list --------------------------------------------------------------------


def list_rows() -> Iterator[Sequence[str]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with open_everything(home) as services:
            first = services.store.import_path(POCKET / "gguf" / "pocket.gguf", "model-1")
            for number in range(2, LISTED_MODELS + 1):
                services.store.copy(str(first.name), f"model-{number}")
        # A record is read anew each time until its file is older than a step of the clock
        # that dates it: nobody adds 200 models and lists them in the same second.
        time.sleep(SETTLE_SECONDS)
        with serve(home) as server:
            for path in LISTS:
                found = Runs(list_ms(server.port, path))
                yield [path, found.text(), judged(found.median, LIST_GOAL_MS)]


def list_ms(port: int, path: str) -> list[float]:
    found: list[float] = []
    connection = http.client.HTTPConnection(HOST, port)
    for _ in range(LIST_REQUESTS):
        started = perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse().read()
        found.append(1000 * (perf_counter() - started))
        if answer.count(b"model-") < LISTED_MODELS:
            raise RuntimeError(f"{path} does not list them all")
    connection.close()
    return found


if __name__ == "__main__":
    main()
