"""Fetches pictures from the web, and from nowhere else.

An address in a request may have been written by a page or a stranger, and must not make this
computer read what only it can reach. So a name is looked up here, once, each address that it
has is checked, and the connection is made to an address that was: what the name means a moment
later is of no account. Each redirect is checked in the same way.
"""

import ipaddress
import queue
import re
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpcore2
import httpx2

from models.errors import InvalidRequest
from models.images import MOST_BYTES
from models.version import own_version
from models.web_addresses import Allowed, IpAddress, is_public, meant_by, own_networks

MOST_SECONDS = 20.0  # for one picture, from the look-up of its host to its last byte
MOST_CONNECT_SECONDS = 5.0  # for each address of a host
MOST_REDIRECTS = 4
_AT_ONCE = threading.BoundedSemaphore(8)
_HIGHEST_PORT = 65535
_PORTS = {"http": 80, "https": 443}
_OK, _REDIRECTS = 200, frozenset({301, 302, 303, 307, 308})
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # a small body cannot become a large one
    "Connection": "close",
    "User-Agent": f"Inglenook/{own_version()}",
}


class NotFetched(InvalidRequest):
    """Why a picture cannot be had from where it is said to be."""


def fetch(address: str, allowed: Allowed, seconds: float = MOST_SECONDS) -> bytes:
    """Return the file that an http(s) address is of.

    Raises:
        NotFetched: it is not on the public web nor allowed, cannot be reached, or takes too
            many bytes, redirects or seconds.
    """
    deadline = _Deadline(seconds)
    url = _url(address)
    if not _AT_ONCE.acquire(timeout=seconds):
        raise NotFetched("Too many pictures are being fetched: send the file itself.")
    try:
        with httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            network_backend=_Pinned(allowed, deadline),
        ) as pool:
            for _ in range(MOST_REDIRECTS + 1):
                found = _get(pool, url, deadline)
                if isinstance(found, bytes):
                    return found
                url = _url(found)
    finally:
        _AT_ONCE.release()
    raise NotFetched(f"The picture's address redirects more than {MOST_REDIRECTS} times.")


def _url(address: str) -> httpx2.URL:
    try:
        url = httpx2.URL(address)
        port = url.port or 0
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        raise NotFetched("The picture's address cannot be understood.") from None
    if url.scheme not in _PORTS or not _is_host(url.raw_host.decode()) or port > _HIGHEST_PORT:
        raise NotFetched("The picture's address must begin with http:// or https:// and a host.")
    if url.userinfo:
        raise NotFetched("The picture's address must have no user and password in it.")
    return url


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _NAME.fullmatch(host) is not None
    with suppress(ValueError):
        return ipaddress.IPv6Address(host).scope_id is None
    return False


def _get(pool: httpcore2.ConnectionPool, url: httpx2.URL, deadline: "_Deadline") -> bytes | str:
    """Return the file, or the address that this one redirects to."""
    target = httpcore2.URL(
        scheme=url.scheme.encode(),
        host=url.raw_host,
        port=url.port,
        target=url.raw_path,
    )
    headers = {"Host": url.netloc.decode("ascii"), **_HEADERS}
    try:
        with pool.stream("GET", target, headers=list(headers.items())) as response:
            if response.status in _REDIRECTS:
                return _redirected(url, response)
            if response.status != _OK:
                raise NotFetched(f"The picture's address answers with status {response.status}.")
            return _body(response)
    except (httpcore2.TimeoutException, TimeoutError):
        raise deadline.missed() from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
        if deadline.left() <= 0:
            raise deadline.missed() from None
        raise NotFetched(f"The host {_shown(url.host)} of the picture cannot be read.") from None


def _redirected(url: httpx2.URL, response: httpcore2.Response) -> str:
    for name, value in response.headers:
        if name.lower() == b"location":
            try:
                return str(url.join(value.decode("utf-8")))
            except (httpx2.InvalidURL, ValueError):
                break
    raise NotFetched("The picture's address redirects to nowhere.")


def _body(response: httpcore2.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise NotFetched(f"The picture has more bytes than {MOST_BYTES:,}: send a smaller one.")
    return bytes(body)


def _shown(host: str) -> str:
    return repr(host[:80])


# -- Connections ---------------------------------------------------------------


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        return self._ends - time.monotonic()

    def within(self, most: float | None = None) -> float:
        """Return how long a step may take. Raises TimeoutError."""
        left = self.left()
        if left <= 0:
            raise TimeoutError
        return left if most is None else min(left, most)

    def missed(self) -> NotFetched:
        return NotFetched(
            f"The picture does not come within {self._seconds:.0f} seconds: send the file itself."
        )


class _Pinned(httpcore2.NetworkBackend):
    """Connects to addresses that were checked, and to no names."""

    def __init__(self, allowed: Allowed, deadline: _Deadline) -> None:
        self._allowed = allowed
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception | None = None
        for address in _checked(host, port, self._allowed, self._deadline):
            seconds = self._deadline.within(MOST_CONNECT_SECONDS)
            try:
                stream = self._sockets.connect_tcp(str(address), port, seconds)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self._deadline)
        raise failure or httpcore2.ConnectError("There is no address.")


class _Timed(httpcore2.NetworkStream):
    """Whatever comes and however slowly: all of it together has until the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.within())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.within())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,  # noqa: ANN401 - as the library has it
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = self._deadline.within()
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, seconds), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the library has it
        return self._stream.get_extra_info(info)


def _checked(host: str, port: int, allowed: Allowed, deadline: _Deadline) -> Sequence[IpAddress]:
    """Return the addresses of a host. One that is not public is one too many."""
    addresses = meant_by(host) or _looked_up(host, port, deadline)
    if not allowed.has_name(host):
        own = own_networks()
        if not all(allowed.has_address(each) or is_public(each, own) for each in addresses):
            raise NotFetched(
                f"The picture's host {_shown(host)} is not on the public web: send the file "
                "itself, or add the host to the setting 'picture_hosts'."
            )
    return addresses


def _looked_up(host: str, port: int, deadline: _Deadline) -> list[IpAddress]:
    """Ask the system's resolver, which knows no time: on a thread that may be left behind."""
    answers: queue.SimpleQueue[list[IpAddress] | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [ipaddress.ip_address(each[4][0]) for each in found]
        except (OSError, ValueError, UnicodeError):
            answers.put(None)
        else:
            answers.put(list(dict.fromkeys(addresses)))

    threading.Thread(target=ask, name="picture-host", daemon=True).start()
    try:
        addresses = answers.get(timeout=deadline.within())
    except queue.Empty:
        raise TimeoutError from None
    if not addresses:
        raise NotFetched(f"The host {_shown(host)} of the picture's address cannot be found.")
    return addresses
