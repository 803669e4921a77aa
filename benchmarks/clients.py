"""Plain sockets against a server, with the moment at which each piece came.

They read and note, and parse nothing on the way: what is measured is the server.
"""

import itertools
import re
import selectors
import socket
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import cast

HOST = "127.0.0.1"
LAST_CHUNK = b"0\r\n\r\n"
_RECEIVE_BYTES = 1 << 16
_TINY_BUFFER_BYTES = 4096
_RETRY_SECONDS = 0.05
_POLL_SECONDS = 0.005
_OK = 200
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_ERROR = b'{"error"'
_PROMPT_TOKENS = re.compile(rb'"(?:prompt_eval_count|prompt_tokens)": ?(\d+)')


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a request after which the server hangs up."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Reader(threading.Thread):
    """A client that reads a stream, asks anew when it ends, and notes when pieces come."""

    def __init__(self, port: int, asked: bytes) -> None:
        super().__init__(name="reader", daemon=True)
        self.times: list[float] = []  # perf_counter of each piece, rising
        self.broken = 0  # streams that did not end as they should
        self._port = port
        self._asked = asked
        self._stopping = False
        self._socket: socket.socket | None = None
        self.start()

    def run(self) -> None:
        while not self._stopping:
            whole = False
            with suppress(OSError), socket.create_connection((HOST, self._port)) as connection:
                self._socket = connection
                whole = self._read(connection)
            if not whole and not self._stopping:
                self.broken += 1
                time.sleep(_RETRY_SECONDS)

    def _read(self, connection: socket.socket) -> bool:
        """Read one answer; return whether it was a stream with its proper end."""
        connection.sendall(self._asked)
        data = connection.recv(_RECEIVE_BYTES)
        status = _STATUS.match(data)
        whole = status is not None and int(status[1]) == _OK
        last = b""
        while data:
            if whole:
                self.times.append(perf_counter())
            if _ERROR in data:
                whole = False
            last = (last + data)[-len(LAST_CHUNK) :]
            data = connection.recv(_RECEIVE_BYTES)
        return whole and last == LAST_CHUNK

    def stop(self) -> None:
        self._stopping = True
        if self._socket:
            with suppress(OSError):  # it may be between two of them
                self._socket.shutdown(socket.SHUT_RDWR)
        self.join()


def wait_for_pieces(readers: Sequence[Reader], count: int, seconds: float) -> bool:
    """Wait until each has that many more pieces than now; return whether they came."""
    wanted = [len(each.times) + count for each in readers]
    deadline = perf_counter() + seconds
    while any(len(each.times) < least for each, least in zip(readers, wanted, strict=True)):
        if perf_counter() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def longest_gap(times: Sequence[float], start: float, end: float) -> float:
    """Return the most seconds without a piece, of those between start and end."""
    inside = [start, *(each for each in times if start < each < end), end]
    return max(after - before for before, after in itertools.pairwise(inside))


@dataclass(frozen=True)
class Answer:
    """What became of a request. ``status`` is None where none came in time."""

    status: int | None
    waited_seconds: float  # until the first bytes of the answer
    prompt_tokens: int = 0  # as the answer tells them, 0 where it does not


def ask(port: int, asked: bytes, most_seconds: float, read_seconds: float = 0.0) -> Answer:
    """Ask, wait so long for the answer to begin, and so much longer for its end."""
    started = perf_counter()
    with socket.create_connection((HOST, port)) as connection:
        sending = threading.Thread(target=_send, args=(connection, asked), daemon=True)
        sending.start()
        data, waited = bytearray(), most_seconds
        with suppress(OSError):  # the time is over, or the server has hung up
            connection.settimeout(most_seconds)
            data += connection.recv(_RECEIVE_BYTES)
            waited = perf_counter() - started
            while (left := started + most_seconds + read_seconds - perf_counter()) > 0:
                connection.settimeout(left)
                piece = connection.recv(_RECEIVE_BYTES)
                if not piece:
                    break
                data += piece
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sending.join()
    return _answer(bytes(data), waited)


@contextmanager
def left_unread(port: int, asked: bytes, until: bytes, most_seconds: float) -> Generator[Answer]:
    """Ask for a stream, and read no more of it from where ``until`` has come."""
    started = perf_counter()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _TINY_BUFFER_BYTES)
        connection.connect((HOST, port))
        connection.sendall(asked)
        connection.settimeout(most_seconds)
        data, waited = b"", most_seconds
        with suppress(OSError):
            while until not in data and (piece := connection.recv(len(until))):
                waited = waited if data else perf_counter() - started
                data += piece
        yield _answer(data, waited)


def _send(connection: socket.socket, asked: bytes) -> None:
    with suppress(OSError):  # refused before all of it was sent
        connection.sendall(asked)


def _answer(data: bytes, waited: float) -> Answer:
    status = _STATUS.match(data)
    tokens = _PROMPT_TOKENS.findall(data)
    return Answer(int(status[1]) if status else None, waited, int(tokens[-1]) if tokens else 0)


# -- A process of clients ------------------------------------------------------


@dataclass(frozen=True)
class Drained:
    """What came to all of them: how often a piece, and in how many writes of the server."""

    count: int
    writes: int


@dataclass(frozen=True)
class Streams:
    """What a process of clients is to read: the answer to each request, on a socket each."""

    port: int
    requests: Sequence[bytes]
    piece: bytes  # to be counted


def drain_all(link: "Connection[Drained, Streams | None]") -> None:
    """Read what comes over the link, until it is None: a process has this to do."""
    while streams := link.recv():
        _drain(streams, link)


def _drain(streams: Streams, link: "Connection[Drained, Streams | None]") -> None:
    """Ask at once, and read all answers to their ends.

    What has come is told twice: when every answer has begun, and when every one has ended.
    """
    selector = selectors.DefaultSelector()
    answers = [bytearray() for _ in streams.requests]
    for asked, answer in zip(streams.requests, answers, strict=True):
        connection = socket.create_connection((HOST, streams.port))
        connection.sendall(asked)
        selector.register(connection, selectors.EVENT_READ, answer)
    told = False
    while selector.get_map():
        for key, _ in selector.select():
            connection = cast("socket.socket", key.fileobj)
            if data := connection.recv(_RECEIVE_BYTES):
                cast("bytearray", key.data).extend(data)
            else:
                selector.unregister(connection)
                connection.close()
        if not told and all(answers):
            told = True
            link.send(_drained(answers, streams.piece))
    link.send(_drained(answers, streams.piece))


def _drained(answers: Sequence[bytearray], piece: bytes) -> Drained:
    chunks = [chunk for answer in answers for chunk in _chunks(bytes(answer)) if piece in chunk]
    return Drained(sum(chunk.count(piece) for chunk in chunks), len(chunks))


def _chunks(answer: bytes) -> Iterator[bytes]:
    """The chunks of an answer over HTTP/1.1: one for each write of the application."""
    _, _, rest = answer.partition(b"\r\n\r\n")
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        rest = rest[length + len(b"\r\n") :]
