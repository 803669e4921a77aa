"""The server on its thread: it starts, stops within a moment whatever is open, and starts again."""

import asyncio
import json
import socket
import threading
from http.client import HTTPConnection

import psutil
import pytest
from quart import request

from server.app import Api
from server.large_bodies import LargeBodies
from server.listener import ApiServer
from server.ports import PortInUse, next_free_port
from server.streams import Streams
from tests.fakes import RecordedEngines
from tests.server.conftest import babbler

HOST = "127.0.0.1"
STREAM = b'{"model":"scripted","prompt":"hi"}'


def make_app() -> Api:
    app = Api(Streams(RecordedEngines()), LargeBodies())

    @app.get("/")
    async def root() -> str:
        return "here"

    @app.get("/tasks")
    async def tasks() -> str:
        return str(len(asyncio.all_tasks()))

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "here"

    @app.post("/length")
    async def length() -> str:
        return str(len(await request.get_data()))

    @app.get("/loop-fault")
    async def loop_fault() -> str:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        return "ok"

    return app


@pytest.fixture
def server():
    made = ApiServer(make_app, HOST, [0, 0])
    yield made
    made.stop()


def get(port: int, path: str = "/") -> bytes:
    connection = HTTPConnection(HOST, port, timeout=20)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def test_every_port_is_answered(server):
    server.start()

    assert len(set(server.ports)) == 2
    assert [get(port) for port in server.ports] == [b"here", b"here"]


def test_localhost_is_answered_whichever_address_it_means(server):
    server.start()
    addresses = {str(each[4][0]) for each in socket.getaddrinfo("localhost", None)}

    for address in addresses & {"127.0.0.1", "::1"}:
        connection = HTTPConnection(address, server.ports[0], timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"here"
        connection.close()


def test_clients_that_have_gone_leave_nothing_open(server, eventually):
    server.start()
    tasks, files = int(get(server.ports[0], "/tasks")), open_files()

    for number in range(30):
        get(server.ports[0])
        with socket.create_connection((HOST, server.ports[0])) as silent:
            silent.sendall(b"GET / HT" if number % 2 else b"")
        with socket.create_connection((HOST, server.ports[0])) as hasty:  # gone before its answer
            hasty.sendall(b"GET /slow HTTP/1.1\r\nHost: x.local\r\n\r\n")

    eventually(lambda: open_files() <= files and int(get(server.ports[0], "/tasks")) <= tasks)


def open_files() -> int:
    return psutil.Process().num_fds()


def test_it_runs_on_a_thread_that_can_be_recognised(server):
    server.start()

    assert "server" in {thread.name for thread in threading.enumerate()}


def test_starting_and_stopping_twice_is_harmless(server):
    assert not server.running and server.ports == ()
    server.stop()

    server.start()
    ports = server.ports
    server.start()
    assert server.running and server.ports == ports

    server.stop()
    server.stop()
    assert not server.running and server.ports == ()


def test_a_port_in_use_is_told_to_whoever_starts(server):
    server.start()
    other = ApiServer(make_app, HOST, [server.ports[0]])

    with pytest.raises(PortInUse) as caught:
        other.start()

    assert caught.value.port == server.ports[0]
    assert not other.running


def test_a_server_that_cannot_be_made_frees_its_ports(caplog):
    def broken() -> Api:
        raise ZeroDivisionError

    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    server = ApiServer(broken, HOST, [port])
    with pytest.raises(ZeroDivisionError):
        server.start()

    assert not server.running
    assert next_free_port(HOST, port) == port
    assert "The API server has failed" in caplog.text


def test_it_stops_with_streams_and_half_requests_open_and_starts_again(serve, eventually):
    backend = babbler()
    serving = serve(backend)
    port = serving.port
    sockets = []

    for _ in range(3):
        stream = socket.create_connection((HOST, port))
        head = (
            f"POST /api/generate HTTP/1.1\r\nHost: x.local\r\nContent-Length: {len(STREAM)}\r\n\r\n"
        )
        stream.sendall(head.encode() + STREAM)
        assert b"200" in stream.recv(1000)
        silent = socket.create_connection((HOST, port))
        half_head = socket.create_connection((HOST, port))
        half_head.sendall(b"POST /api/gen")
        half_body = socket.create_connection((HOST, port))
        half_body.sendall(
            b"POST /api/generate HTTP/1.1\r\nHost: x.local\r\nContent-Length: 100\r\n\r\nabc"
        )
        idle = serving.connect()
        idle.request("GET", "/")
        idle.getresponse().read()
        sockets += [stream, silent, half_head, half_body, idle]
        eventually(lambda: bool(backend.running))

        serving.stop()
        eventually(lambda: not backend.running)
        serving.start_again()
        assert serving.ask("GET", "/").body == b"Ollama is running"

    for each in sockets:
        each.close()


@pytest.mark.parametrize("path", ["/api/generate", "/v1/chat/completions"])
def test_a_stream_that_is_open_when_it_stops_is_told_so(serve, path):
    serving = serve(babbler())
    asked = {"model": "scripted", "prompt": "x", "messages": [{"role": "user", "content": "x"}]}
    connection = serving.connect()
    connection.request("POST", path, json.dumps(asked | {"stream": True}))
    response = connection.getresponse()
    assert response.read(1)

    serving.stop()

    frames = [line for line in response.read().splitlines() if line]
    if path.startswith("/v1"):
        assert frames.pop() == b"data: [DONE]"
    assert b"has been switched off" in frames[-1]
    assert sum(b"error" in frame for frame in frames) == 1
    connection.close()


def test_an_idle_connection_is_used_again(server):
    server.start()
    connection = HTTPConnection(HOST, server.ports[0], timeout=20)

    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"here"
    connection.close()


def test_a_large_body_arrives(server):
    server.start()
    connection = HTTPConnection(HOST, server.ports[0], timeout=20)

    connection.request("POST", "/length", b"x" * (1 << 20))

    assert connection.getresponse().read() == str(1 << 20).encode()
    connection.close()


def test_what_breaks_on_the_loop_is_logged(server, caplog):
    server.start()

    get(server.ports[0], "/loop-fault")

    assert any(record.exc_info for record in caplog.records)


def test_it_says_nothing_on_the_terminal(serve, capfd):
    serving = serve()

    serving.ask("GET", "/")
    serving.ask("GET", "/nothing")
    broken = socket.create_connection((HOST, serving.port))
    broken.sendall(b"no http at all\r\n\r\n")
    broken.recv(1000)
    broken.close()
    serving.server.stop()

    assert capfd.readouterr() == ("", "")
