"""Servers that speak /v1/chat/completions, asked by one plain client: ours and the libraries'.

The peers are the servers that the libraries bring along: llama.cpp's, as it is compiled into
xllamacpp, and ``mlx_lm.server``. Each has a process of its own.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks.measure import JSON, REPOSITORY, free_port, serve, stream

_START_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Answer:
    """When the pieces of an answer came, by ``perf_counter``, and what it says of itself."""

    asked: float
    pieces: Sequence[float]
    text: str
    usage: JSON

    @property
    def first_seconds(self) -> float:
        return self.pieces[0] - self.asked

    @property
    def tokens(self) -> int:
        return self.usage["completion_tokens"]

    @property
    def prompt_tokens(self) -> int:
        return self.usage["prompt_tokens"]

    @property
    def cached_tokens(self) -> int:
        details: JSON = self.usage.get("prompt_tokens_details") or {}
        return details.get("cached_tokens") or 0


@dataclass
class Peer:
    """One server with one model."""

    name: str
    port: int
    model: str
    process: psutil.Process
    extra: JSON = field(default_factory=JSON)  # in every body

    def ask(self, messages: Sequence[JSON], max_tokens: int, **fields: object) -> Answer:
        body = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra,
            **fields,
        }
        asked = perf_counter()
        pieces: list[float] = []
        text, usage = "", JSON()
        for line in _patient_lines(self.port, body):
            now = perf_counter()
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            if "error" in chunk:
                raise RuntimeError(f"{self.name}: {chunk['error']}")
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices") or ():
                if piece := choice["delta"].get("content"):
                    pieces.append(now)
                    text += piece
        return Answer(asked, pieces, text, usage)

    def ask_all(self, prompts: Sequence[str], max_tokens: int) -> tuple[float, list[Answer]]:
        """Ask all at once; return tokens a second from the first byte in to the last out."""
        started = perf_counter()
        with ThreadPoolExecutor(len(prompts)) as pool:
            chats = map(a_chat, prompts)
            answers = list(pool.map(self.ask, chats, repeat(max_tokens)))
        seconds = perf_counter() - started
        return sum(each.tokens for each in answers) / seconds, answers


def a_chat(text: str) -> list[JSON]:
    return [{"role": "user", "content": text}]


def _patient_lines(port: int, body: JSON) -> Iterator[bytes]:
    """Ask anew where the server turns the connection away: mlx_lm's does, of 32."""
    while True:
        with suppress(ConnectionResetError):
            yield from stream(port, "/v1/chat/completions", body)
            return
        time.sleep(_POLL_SECONDS)


@contextmanager
def ours(home: Path, model: str) -> Generator[Peer]:
    with serve(home) as server:
        yield Peer("ours", server.port, model, psutil.Process(server.process.pid))


@contextmanager
def llama_server(path: Path, *, sequences: int, cells: int) -> Generator[Peer]:
    """llama.cpp's own server, as xllamacpp has it, with a cache that all sequences share."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.llama_peer", str(path)]
    command += [str(port), str(sequences), str(cells)]
    with _running(command, port) as process:
        yield Peer("llama.cpp's server", port, "", process)


@contextmanager
def mlx_server(path: Path) -> Generator[Peer]:
    port = free_port()
    command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(path)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--log-level", "ERROR"]
    with _running(command, port) as process:
        yield Peer("mlx_lm.server", port, str(path), process)


@contextmanager
def _running(command: list[str], port: int) -> Generator[psutil.Process]:
    with tempfile.TemporaryFile("w+") as words:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        child = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=words, stderr=words, text=True
        )
        try:
            _wait(child, port)
            yield psutil.Process(child.pid)
        except BaseException:
            words.seek(0)
            sys.stderr.write(words.read()[-4000:])
            raise
        finally:
            child.kill()
            child.wait()


def _wait(child: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(_POLL_SECONDS)
    raise TimeoutError("the peer did not start")
