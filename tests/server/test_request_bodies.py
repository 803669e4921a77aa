"""Bodies on their way in: how large, how packed, how slow, and who still hears the answer."""

import gzip
import json
import socket
import sys
import threading
import time

import pytest

from server import body
from server.body import BodyStalled
from server.encodings import plain
from tests.fakes import ScriptedBackend
from tests.server.conftest import HOST, Serving

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}
PATHS = ["/api/chat", "/v1/chat/completions", "/v1/messages"]
PACKED = [("gzip", gzip.compress), ("zstd", zstd.compress)]


def head(path: str, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def opened(serving: Serving) -> socket.socket:
    return socket.create_connection((HOST, serving.port), timeout=20)


def heard(connection: socket.socket) -> bytes:
    """All that comes until the other end has closed."""
    pieces: list[bytes] = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def limit_of(path: str) -> int:
    return (32 if path.startswith("/v1/messages") else 256) << 20


class TestSize:
    @pytest.mark.parametrize("path", PATHS)
    def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(self, serve, path):
        serving = serve()

        with opened(serving) as connection:
            connection.sendall(head(path, f"Content-Length: {limit_of(path) + 1}"))
            status, _, rest = heard_answer(connection)

        assert status == 413
        assert str(limit_of(path)) in rest
        assert serving.ask("GET", "/").status == 200

    def test_a_body_that_does_not_say_is_refused_as_soon_as_it_is_too_large(self, serve):
        serving = serve()
        chunk = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))

        with opened(serving) as connection:
            connection.sendall(head("/v1/messages", "Transfer-Encoding: chunked"))
            for _ in range(33):  # and no end
                connection.sendall(chunk)
            status, _, rest = heard_answer(connection)

        assert status == 413
        assert json.loads(rest)["error"]["type"] == "request_too_large"

    def test_who_sends_all_of_it_before_listening_hears_it_all_the_same(self, serve):
        serving = serve()

        answer = serving.ask("POST", "/v1/messages", b" " * (40 << 20))

        assert answer.status == 413
        assert answer.headers["connection"] == "close"

    def test_a_refusal_at_the_door_is_heard_too(self, serve):
        foreign = {"Origin": "https://evil.example"}

        answer = serve().ask("POST", "/api/chat", b" " * (8 << 20), foreign)

        assert answer.status == 403

    def test_who_never_ends_is_let_go(self, serve):
        serving = serve()
        with opened(serving) as connection:
            connection.sendall(head("/api/nothing", f"Content-Length: {1 << 40}"))
            with pytest.raises(OSError, match=r"Broken pipe|reset"):
                for _ in range(200):
                    connection.sendall(b" " * (1 << 20))

    def test_a_connection_whose_request_came_whole_stays_open(self, serve):
        connection = serve().connect()
        for _ in range(2):
            connection.request("POST", "/api/nothing", json.dumps(CHAT))
            answer = connection.getresponse()
            assert answer.status == 404
            assert answer.getheader("Connection") is None
            answer.read()
        connection.request("GET", "/api/tags", headers={"Origin": "https://evil.example"})
        refused = connection.getresponse()
        assert (refused.status, refused.getheader("Connection")) == (403, None)
        connection.close()


class TestEncodings:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(("encoding", "pack"), PACKED)
    def test_a_packed_body_is_read(self, serve, path, encoding, pack):
        data = pack(json.dumps(CHAT | {"max_tokens": 5, "stream": False}).encode())

        answer = serve().ask("POST", path, data, {"Content-Encoding": encoding})

        assert answer.status == 200
        assert b"Hello" in answer.body

    @pytest.mark.parametrize(("encoding", "pack"), PACKED)
    def test_the_limit_is_that_of_the_plain_body(self, serve, encoding, pack):
        serving = serve()
        bomb = pack(b" " * (33 << 20))
        assert len(bomb) < 100_000

        answer = serving.ask("POST", "/v1/messages", bomb, {"Content-Encoding": encoding})

        assert answer.status == 413

    @pytest.mark.parametrize(("encoding", "pack"), PACKED)
    def test_a_broken_one_is_the_senders_fault(self, serve, encoding, pack):
        serving = serve()
        whole = pack(json.dumps(CHAT).encode())
        for broken in (whole[:-3], b"\x00" + whole, whole + b"more", b"{}"):
            answer = serving.ask("POST", "/api/chat", broken, {"Content-Encoding": encoding})

            assert answer.status == 400, broken
            assert encoding in answer.json["error"]

    def test_another_encoding_is_refused_with_those_that_are_known(self, serve):
        answer = serve().ask("POST", "/api/chat", b"\x1f", {"Content-Encoding": "br"})

        assert answer.status == 415
        assert "br" in answer.json["error"]
        assert answer.headers["accept-encoding"] == "gzip, zstd"

    @pytest.mark.parametrize(("encoding", "pack"), PACKED)
    def test_pieces_are_small_however_much_a_chunk_becomes(self, encoding, pack):
        made = plain(encoding)
        data = pack(b"a" * (5 << 20)) + pack(b"b" * 7)

        pieces = [
            piece for at in range(0, len(data), 999) for piece in made.pieces(data[at : at + 999])
        ]
        made.end()

        assert b"".join(pieces) == b"a" * (5 << 20) + b"b" * 7
        assert max(map(len, pieces)) <= 1 << 20

    def test_what_came_counts_too_where_nothing_comes_of_it(self, serve):
        part = b"\x50\x2a\x4d\x18" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)
        to_skip = iter([part] * 33)  # frames that RFC 8878 has readers pass over

        connection = serve().connect()
        connection.request(
            "POST", "/v1/messages", to_skip, {"Content-Encoding": "zstd"}, encode_chunked=True
        )

        assert connection.getresponse().status == 413
        connection.close()


class TestSlowness:
    @pytest.mark.parametrize(
        "half",
        [
            b"POST /api/chat HTT",
            b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-",
            head("/api/chat", "Content-Length: 1000") + b'{"model"',
            head("/v1/messages", "Transfer-Encoding: chunked") + b"5\r\n{",
            b"GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n",
        ],
    )
    def test_64_half_requests_keep_nobody_waiting(self, serve, half):
        serving = serve()
        slow = [opened(serving) for _ in range(64)]
        try:
            for each in slow:
                each.sendall(half)

            before = time.monotonic()
            answers = [
                serving.ask("POST", path, CHAT | {"max_tokens": 5, "stream": False})
                for path in PATHS
            ]
            took = time.monotonic() - before
        finally:
            for each in slow:
                each.close()

        assert [answer.status for answer in answers] == [200] * 3
        assert took < 10  # and each of them would have waited for ever
        assert threading.active_count() < 64

    def test_a_body_that_stops_coming_is_given_up(self, serve, monkeypatch):
        monkeypatch.setattr(body, "_STALL_SECONDS", 0.05)
        serving = serve(ScriptedBackend("x"))

        with opened(serving) as connection:
            connection.sendall(head("/v1/messages", "Content-Length: 1000") + b"{")
            status, _, rest = heard_answer(connection)

        assert status == BodyStalled.status_hint
        assert json.loads(rest)["type"] == "error"


def heard_answer(connection: socket.socket) -> tuple[int, str, str]:
    """The status, the head and the body of an answer, once its length has come."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        lines: list[str] = []
        while (line := file.readline().decode().strip()) != "":
            lines.append(line.lower())
        [length] = [int(each.split(":")[1]) for each in lines if each.startswith("content-length")]
        return status, "\n".join(lines), file.read(length).decode()
