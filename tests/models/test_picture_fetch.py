"""Pictures are fetched from the public web, or from where a person allows: from nowhere else."""

import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from models import picture_fetch
from models.picture_fetch import MOST_REDIRECTS, NotFetched, fetch
from models.web_addresses import Allowed

PICTURE = b"a picture " * 1000
LOOPBACK = Allowed.of(["127.0.0.2"])  # beside it, 127.0.0.1 is not


class Site:
    """A web server on 127.0.0.2. What each path answers is said in ``paths``."""

    def __init__(self) -> None:
        self.paths: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gone = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers)))
                site.paths[self.path](self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.2:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def close(self) -> None:
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()


def gives(body: bytes, status: int = 200, **headers: str) -> Callable[..., None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def leads_to(address: str) -> Callable[..., None]:
    return gives(b"", 302, Location=address)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@contextmanager
def canary(address: str = "127.0.0.1") -> Generator[int]:
    """A port that nobody may call."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        yield listening.getsockname()[1]
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):  # else somebody waits to be let in
            listening.accept()


# -- What may be fetched -----------------------------------------------------------


def test_a_picture_comes_from_where_a_person_allows(site: Site):
    site.paths["/cat.png?size=1"] = gives(PICTURE)

    assert fetch(f"{site.address}/cat.png?size=1#top", LOOPBACK) == PICTURE
    _, headers = site.asked[0]
    assert headers["Host"] == site.address.removeprefix("http://")
    assert headers["Accept-Encoding"] == "identity"


def test_it_is_followed_to_where_it_has_moved(site: Site):
    site.paths["/old"] = leads_to("new")
    site.paths["/new"] = gives(PICTURE)

    assert fetch(f"{site.address}/old", LOOPBACK) == PICTURE


def test_a_name_that_is_allowed_may_lead_anywhere(site: Site):
    site.paths["/"] = gives(PICTURE)
    port = site.server.server_port

    with resolver({"nas.lan": [["127.0.0.2"]]}):
        assert fetch(f"http://nas.lan:{port}/", Allowed.of(["nas.lan"])) == PICTURE


def assert_refused(address: str) -> None:
    with pytest.raises(NotFetched, match="not on the public web"):
        fetch(address, LOOPBACK)


# -- What may not ------------------------------------------------------------------


@contextmanager
def resolver(names: dict[str, list[list[str]]]) -> Generator[list[str]]:
    """What a name means, each time somebody asks; the last of it stays."""
    real, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host not in names:
            return real(host, port, *args, **more)
        asked.append(host)
        meanings = names[host]
        now = meanings.pop(0) if len(meanings) > 1 else meanings[0]
        return [real(each, port, *args, **more)[0] for each in now]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0",
     "[::ffff:127.0.0.1]", "LOCALHOST.", "127.0.0.1.", "ip6-localhost"],
)  # fmt: skip
def test_this_computer_is_not_called(host: str):
    with canary() as port, pytest.raises(NotFetched):
        fetch(f"http://{host}:{port}/", LOOPBACK)


@pytest.mark.parametrize(
    "host",
    ["localhost.", "LocalHost", "a.localhost", "127.0.0.1.", "127.1", "2130706433", "0x7f000001",
     "017700000001", "192.168.1", "[::1]", "[::ffff:10.0.0.1]"],
)  # fmt: skip
def test_no_resolver_is_asked_of_what_is_no_name(host: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))

    assert_refused(f"http://{host}/")

    assert asked == []


def test_what_is_allowed_may_be_written_in_any_way(site: Site):
    site.paths["/"] = gives(PICTURE)

    assert fetch(f"http://127.2.:{site.server.server_port}/", LOOPBACK) == PICTURE


def test_this_computer_is_not_called_by_ipv6():
    try:
        with canary("::1") as port, pytest.raises(NotFetched, match="public web"):
            fetch(f"http://[::1]:{port}/", LOOPBACK)
    except OSError:
        pytest.skip("there is no IPv6 here")


@pytest.mark.parametrize("address", ["169.254.169.254", "192.168.1.1", "10.0.0.1", "[fd00::1]"])
def test_the_inner_network_is_not_called(address: str):
    with pytest.raises(NotFetched, match=r"not on the public web.*'picture_hosts'"):
        fetch(f"http://{address}/latest/meta-data", LOOPBACK)


def test_a_redirect_leads_to_this_computer_no_more_than_an_address(site: Site):
    with canary() as port:
        for target in (f"http://127.0.0.1:{port}/", f"//localhost:{port}/"):
            site.paths["/"] = leads_to(target)
            assert_refused(site.address)


def test_what_a_name_means_the_second_time_is_of_no_account(site: Site):
    site.paths["/"] = gives(PICTURE)
    meanings = [["127.0.0.2"], ["127.0.0.1"]]

    with resolver({"rebinding.example": meanings}) as asked:
        address = f"http://rebinding.example:{site.server.server_port}/"
        assert fetch(address, LOOPBACK) == PICTURE

    assert asked == ["rebinding.example"]


def test_a_name_of_which_one_address_is_inner_is_inner():
    with canary() as port, resolver({"two.example": [["127.0.0.2", "127.0.0.1"]]}):
        assert_refused(f"http://two.example:{port}/")


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "/etc/passwd", "ftp://a.example/b.png", "gopher://a.example/",
     "http:///b.png", "http://", "http://a.example:99999/", "http://[::1", "http://a\0b/",
     "http://\uff41.example/", "http://user:secret@a.example/b.png", "jar:http://a.example!/b"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused(address: str):
    with pytest.raises(NotFetched, match="The picture's address"):
        fetch(address, LOOPBACK)


def test_a_host_that_is_not_there_is_told():
    with resolver({"gone.example": [[]]}), pytest.raises(NotFetched, match="cannot be found"):
        fetch("http://gone.example/", LOOPBACK)


# -- What takes too much -----------------------------------------------------------


def test_redirects_have_an_end(site: Site):
    site.paths["/"] = leads_to("/")

    with pytest.raises(NotFetched, match=f"more than {MOST_REDIRECTS} times"):
        fetch(site.address, LOOPBACK)

    assert len(site.asked) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("headers", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_byte_now_and_then_is_too_slow(site: Site, headers: bytes):
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(headers)
        while not site.gone.wait(0.01):  # for ever, were it not cut off
            handler.wfile.write(b"x")

    site.paths["/"] = drip

    with pytest.raises(NotFetched, match="does not come within"):
        fetch(site.address, LOOPBACK, 0.3)


def test_no_more_is_read_than_a_picture_may_have(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(picture_fetch, "MOST_BYTES", 1000)
    site.paths["/"] = gives(PICTURE)

    with pytest.raises(NotFetched, match="more bytes than 1,000"):
        fetch(site.address, LOOPBACK)


@pytest.mark.parametrize("answer", [gives(b"none", 404), leads_to("http://[::1"), leads_to("")])
def test_an_answer_that_is_no_picture_is_told(site: Site, answer: Callable[..., None]):
    site.paths["/"] = answer

    with pytest.raises(NotFetched, match=r"404|redirects"):
        fetch(site.address, LOOPBACK)


def test_a_server_that_speaks_no_http_or_nothing_is_told(site: Site):
    def speak(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"nonsense\r\n\r\n")

    site.paths["/"] = speak
    with pytest.raises(NotFetched, match="cannot be read"):
        fetch(site.address, LOOPBACK)
    with pytest.raises(NotFetched, match="cannot be read"):
        fetch(site.address.replace("http", "https"), LOOPBACK)
    site.close()
    with pytest.raises(NotFetched, match="cannot be read"):
        fetch(site.address, LOOPBACK)
