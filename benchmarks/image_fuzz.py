"""Damaged pictures and hostile addresses, sent to a real server on every wire.

    python -m benchmarks.image_fuzz [--pictures 2000] [--addresses 200] [--seed 1]

None may be answered with a 5xx, none may reach a canary that listens on this computer, and the
server may not grow, once it has loaded the model and answered pictures until its caches are full.
Nothing is sent to any other computer: all hosts are addresses of this one
or of inner networks, which are refused before anything is asked of them.
"""

import argparse
import base64
import http.client
import io
import json
import random
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import psutil
from PIL import Image

from app.settings import Settings
from benchmarks.hostile_pictures import damaged, hostile_addresses, whole_pictures
from benchmarks.measure import JSON, machine, serve
from benchmarks.random_models import SHAPES, write_gguf
from benchmarks.random_projector import write_projector
from models.store import Store

SITE = "127.0.0.2"  # what the server is allowed, so that it can be redirected from there
MODEL = "eyes"
_AT_ONCE = 4
_WARM = 200  # pictures that are answered, until memory has what it will keep
_OFTEN = 500  # pictures, after which memory is looked at
_MOST_GROWTH_MIB = 32.0
_ANSWER_SECONDS = 120.0
_FINE = (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
_MIB = 1 << 20

Wire: TypeAlias = Callable[[str], tuple[str, JSON]]
"""Where a picture is sent to, and how: from its file as base64, or its address."""


# -- What may be called, and what may not ----------------------------------------


@dataclass
class Canaries:
    """Ports of this computer that nobody may call."""

    sockets: list[socket.socket] = field(default_factory=list[socket.socket])

    @classmethod
    @contextmanager
    def listening(cls) -> Generator["Canaries"]:
        canaries = cls()
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            try:
                canaries.sockets.append(socket.create_server((host, 0), family=family))
            except OSError:
                print(f"There is no {host} here.")
        try:
            yield canaries
        finally:
            for each in canaries.sockets:
                each.close()

    @property
    def ports(self) -> list[int]:
        return [each.getsockname()[1] for each in self.sockets]

    def callers(self) -> int:
        """Return how many have called by now."""
        count = 0
        for each in self.sockets:
            each.setblocking(False)
            while True:
                try:
                    each.accept()[0].close()
                except BlockingIOError:
                    break
                count += 1
        return count


@contextmanager
def redirecting_site() -> Generator[str]:
    """A web server that redirects to the address that its path is, in base64."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                target = base64.urlsafe_b64decode(self.path[1:])
            except ValueError:  # it was led back here
                return self.send_error(HTTPStatus.NOT_FOUND)
            self.send_response(HTTPStatus.FOUND)
            self.wfile.write(b"".join(self._headers_buffer))
            self._headers_buffer = list[bytes]()
            self.wfile.write(b"Location: " + target + b"\r\nContent-Length: 0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer((SITE, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"http://{SITE}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# -- Wires ---------------------------------------------------------------------


def _as_data(picture: str) -> str:
    return picture if ":" in picture[:20] else f"data:;base64,{picture}"


def _chat(picture: str) -> tuple[str, JSON]:
    part = {"type": "image_url", "image_url": {"url": _as_data(picture)}}
    said = {"role": "user", "content": [part, {"type": "text", "text": "What?"}]}
    return "/v1/chat/completions", {"messages": [said], "max_tokens": 1}


def _responses(picture: str) -> tuple[str, JSON]:
    part = {"type": "input_image", "image_url": _as_data(picture)}
    said = {"role": "user", "content": [part, {"type": "input_text", "text": "What?"}]}
    return "/v1/responses", {"input": [said], "max_output_tokens": 16, "store": False}


def _messages(picture: str) -> tuple[str, JSON]:
    source: JSON = {"type": "url", "url": picture}
    if ":" not in picture[:20]:
        source = {"type": "base64", "media_type": "image/png", "data": picture}
    parts = [{"type": "image", "source": source}, {"type": "text", "text": "What?"}]
    result: JSON = {"type": "tool_result", "tool_use_id": "t", "content": parts}
    call: JSON = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    said: list[JSON] = [
        {"role": "user", "content": "Look!"},
        {"role": "assistant", "content": [call]},
    ]
    return "/v1/messages", {"messages": [*said, {"role": "user", "content": [result]}],
                            "max_tokens": 1}  # fmt: skip


def _ollama_chat(picture: str) -> tuple[str, JSON]:
    said = {"role": "user", "content": "What?", "images": [picture]}
    return "/api/chat", {"messages": [said], "stream": False, "options": {"num_predict": 1}}


def _ollama_generate(picture: str) -> tuple[str, JSON]:
    asked = {"prompt": "What?", "images": [picture], "stream": False}
    return "/api/generate", {**asked, "options": {"num_predict": 1}}


WIRES: Sequence[Wire] = (_chat, _responses, _messages, _ollama_chat, _ollama_generate)


@dataclass
class Found:
    statuses: Counter[int] = field(default_factory=Counter[int])
    wrong: list[str] = field(default_factory=list[str])
    slowest_seconds: float = 0.0


def send(port: int, model: str, pictures: Sequence[str], found: Found) -> None:
    """Send each on the next wire, some at a time, and note what is answered."""

    def ask(place: int, picture: str) -> tuple[int, str, float]:
        path, body = WIRES[place % len(WIRES)](picture)
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        try:
            sent = json.dumps({"model": model, **body})
            connection.request("POST", path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode(), time.perf_counter() - began
        finally:
            connection.close()

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(ask, range(len(pictures)), pictures)
        for picture, (status, said, seconds) in zip(pictures, answers, strict=True):
            found.statuses[status] += 1
            found.slowest_seconds = max(found.slowest_seconds, seconds)
            if status not in _FINE or ('"error"' in said and '""' in said):
                found.wrong.append(f"{status} {said[:200]} for {picture[:200]!r}")


# -- The whole -----------------------------------------------------------------


@dataclass
class Memory:
    """Of a server and of its children, in MiB, whenever it was looked at."""

    process: psutil.Process
    seen: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def look(self) -> None:
        children = self.process.children(recursive=True)
        own = self.process.memory_info().rss / _MIB
        self.seen.append((own, sum(each.memory_info().rss for each in children) / _MIB))

    def text(self) -> str:
        return ", ".join(f"{own:.0f} + {children:.0f}" for own, children in self.seen)

    @property
    def grown(self) -> float:
        return sum(self.seen[-1]) - sum(self.seen[0])


def unlike_others(number: int) -> str:
    """Return a whole picture, in base64."""
    file = io.BytesIO()
    drawn = Image.frombytes("RGB", (32, 32), random.Random(number).randbytes(32 * 32 * 3))
    drawn.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def make_home(folder: Path) -> Path:
    """Write a model that sees, of random weights, and what the server is allowed."""
    home = folder / "home"
    home.mkdir()
    write_gguf(folder / f"{MODEL}.gguf", SHAPES["tiny"], 2048)
    write_projector(folder / "mmproj.gguf", SHAPES["tiny"].width, layers=1)
    Store(home, builtin=None).import_path(folder / f"{MODEL}.gguf", MODEL)
    Settings(picture_hosts=(SITE,)).save(home)
    return home


def main() -> None:
    parser = argparse.ArgumentParser(description="Send damaged pictures and hostile addresses.")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--addresses", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(machine())
    encoded = [
        base64.b64encode(each).decode()
        for each in islice(damaged(whole_pictures(), asked.seed), asked.pictures)
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        Canaries.listening() as canaries,
        redirecting_site() as site,
        serve(make_home(Path(folder))) as server,
    ):
        memory = Memory(psutil.Process(server.process.pid))
        ask = partial(send, server.port, MODEL)
        every = [base64.b64encode(each).decode() for each in whole_pictures()]
        ask([*every, *map(unlike_others, range(_WARM))], first := Found())
        ask([site], Found())  # what fetches is loaded with the first address
        memory.look()
        rest = Found()
        for begin in range(0, len(encoded), _OFTEN):
            ask(encoded[begin : begin + _OFTEN], rest)
            memory.look()
        addresses = hostile_addresses(canaries.ports, site)
        picked = random.Random(asked.seed).sample(addresses, min(asked.addresses, len(addresses)))
        ask(picked, hostile := Found())
        memory.look()
        called = canaries.callers()
    wrong = [*first.wrong, *rest.wrong, *hostile.wrong]
    print(f"whole pictures: {dict(first.statuses)}")
    print(f"pictures: {dict(rest.statuses)}, slowest {rest.slowest_seconds:.1f} s")
    print(f"addresses: {dict(hostile.statuses)}, slowest {hostile.slowest_seconds:.1f} s")
    print(f"canaries were called {called} times")
    print(f"MiB, after the whole ones, each {_OFTEN} pictures and the addresses: {memory.text()}")
    print("\n".join(wrong[:20]))
    accepted = hostile.statuses[HTTPStatus.OK]
    raise SystemExit(bool(wrong or called or accepted or memory.grown > _MOST_GROWTH_MIB))


if __name__ == "__main__":
    main()
