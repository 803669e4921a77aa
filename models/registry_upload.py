"""One model on its way to a registry: blob by blob, gone on with where the connection was cut."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.hub_errors import PullCancelled
from models.hub_progress import PullProgress
from models.patience import Patience
from models.registry_layers import MANIFEST_TYPE, Layer

if TYPE_CHECKING:
    from httpx2 import URL, Client, Response

_PIECE_BYTES = 256 << 10  # that are sent at once
_PART_BYTES = 100 << 20  # in one request; Ollama's smallest
_SECONDS_BETWEEN_REPORTS = 0.1
_LONGEST_SAID = 200
_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,  # it has more, or less, than we know of
    HTTPStatus.TOO_MANY_REQUESTS,
)

log = logging.getLogger(__name__)


class RegistryRefused(Exception):
    """``said`` is what the registry says of it, "" for nothing."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status
        self.said = said


class Upload:
    """Sends what a model is made of to the repository at ``base``.

    Everything raises RegistryRefused, PullCancelled, and httpx2's errors.
    """

    def __init__(
        self,
        client: "Client",
        base: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> None:
        self._client = client
        self._base = base
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._next_report = 0.0

    def send(self, layer: Layer) -> None:
        """Bring a blob there, unless it is there already."""
        if self._cancelled.is_set():
            raise PullCancelled
        found = self._client.head(f"{self._base}/blobs/{layer.digest}")
        if found.is_success or found.is_redirect:
            self._tell(layer, layer.size_bytes)
            return
        if found.status_code != HTTPStatus.NOT_FOUND:
            raise _refused(found)
        self._tell(layer, 0)
        location = self._begin()
        if location is not None:
            location = self._send_all(layer, location)
            end = location.copy_merge_params({"digest": layer.digest})
            _check(self._client.put(end, content=b""))
        self._tell(layer, layer.size_bytes)

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        headers = {"Content-Type": MANIFEST_TYPE}
        _check(self._client.put(f"{self._base}/manifests/{tag}", content=manifest, headers=headers))

    def _begin(self) -> "URL | None":
        """Return where a blob is to be sent; None: it need not be."""
        answer = _check(self._client.post(f"{self._base}/blobs/uploads/", content=b""))
        return None if answer.status_code == HTTPStatus.CREATED else self._location(answer)

    def _send_all(self, layer: Layer, location: "URL") -> "URL":
        """Send a blob part by part; return where its end is to be told."""
        from httpx2 import TransportError  # noqa: PLC0415  # slow, and needed here only

        offset, patience = 0, Patience(self._cancelled)
        while offset < layer.size_bytes:
            try:
                answer = self._send_part(layer, location, offset)
                if answer.is_success:
                    offset = min(offset + _PART_BYTES, layer.size_bytes)
                    location = self._location(answer)
                    patience.renew()
                    continue
                problem: Exception = _refused(answer)
                if answer.status_code not in _PASSING and not answer.is_server_error:
                    raise problem
            except TransportError as error:
                if self._cancelled.is_set():
                    raise PullCancelled from None
                problem = error
            log.info("A push of %s broke off: %r", layer.digest, problem)
            patience.wait(problem)
            before = offset
            location, offset = self._where(location)
            if offset > before:
                patience.renew()
        return location

    def _send_part(self, layer: Layer, location: "URL", offset: int) -> "Response":
        length = min(_PART_BYTES, layer.size_bytes - offset)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(length),
            "Content-Range": f"{offset}-{offset + length - 1}",
        }
        pieces = self._pieces(layer, offset, length)
        return self._client.patch(location, content=pieces, headers=headers)

    def _pieces(self, layer: Layer, offset: int, length: int) -> Iterator[bytes]:
        end = offset + length
        for piece in _read(layer.content, offset, length):
            if self._cancelled.is_set():
                raise PullCancelled
            yield piece
            offset += len(piece)
            if offset == end or time.monotonic() >= self._next_report:
                self._tell(layer, offset)

    def _where(self, location: "URL") -> tuple["URL", int]:
        """Ask how much of a blob is there; where that is not known it begins anew."""
        from httpx2 import TransportError  # noqa: PLC0415

        try:
            answer = self._client.get(location)
        except TransportError:
            return location, 0  # it is asked again when it answers that it has more
        if answer.is_success:
            last = answer.headers.get("Range", "0-0").rpartition("-")[2]
            known = int(last) + 1 if last.isdigit() and last != "0" else 0
            return self._location(answer, location), known
        return self._begin() or location, 0

    def _location(self, answer: "Response", usual: "URL | None" = None) -> "URL":
        """Return where an answer says that it goes on."""
        headers = answer.headers
        said = headers.get("Docker-Upload-Location") or headers.get("Location")
        if not said:
            if usual is not None:
                return usual
            raise RegistryRefused(answer.status_code, "it does not say where to send a file")
        location = answer.url.join(said)
        if self._base.startswith("https:") and location.scheme != "https":
            raise RegistryRefused(answer.status_code, "insecure protocol http")
        return location

    def _tell(self, layer: Layer, done: int) -> None:
        self._next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS
        name = layer.content.name if isinstance(layer.content, Path) else ""
        self._on_progress(PullProgress("pushing", name, done, layer.size_bytes, layer.sha256))


def _read(content: Path | bytes, offset: int, length: int) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content[offset : offset + length]
        return
    with content.open("rb") as file:
        file.seek(offset)
        while length and (piece := file.read(min(_PIECE_BYTES, length))):
            length -= len(piece)
            yield piece


def _check(answer: "Response") -> "Response":
    if not answer.is_success:
        raise _refused(answer)
    return answer


def _refused(answer: "Response") -> RegistryRefused:
    """Take the first sentence of it, where it is said as registries say it."""
    try:
        body: Any = json.loads(answer.content)
        said = str(body["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        said = ""
    return RegistryRefused(answer.status_code, said[:_LONGEST_SAID])
