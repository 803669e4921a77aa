"""One file on its way to the disk: it can be taken up again, checked, and left at any moment."""

import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from models import hub_session
from models.hub_errors import DamagedDownload, PullCancelled
from models.hub_files import RemoteFile
from models.patience import Patience

_STALLED_SECONDS = 20.0  # without a byte: we hang up and ask again
_CHECK_SECONDS = 0.1  # how often a wait looks up to see whether it is cancelled
_CHUNK_BYTES = 1 << 20
_PIECES_AHEAD = 64

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from."""

    url: str
    headers: Mapping[str, str]
    file: RemoteFile


def partial_path(folder: Path, file: RemoteFile) -> Path:
    """Return where ``file`` grows. It bears its content's name too, so that half of an
    older version is never continued."""
    return folder / f"{file.name}.{(file.sha256 or file.blob_id or '')[:16]}.incomplete"


def fill(
    source: Source,
    partial: Path,
    on_bytes: Callable[[int], None],
    cancelled: threading.Event,
) -> None:
    """Bring what is missing of the file to ``partial``, asking again and again.

    ``on_bytes`` is told how many bytes of the file are here.

    Raises:
        PullCancelled: soon after ``cancelled`` is set. What has arrived is kept.
        DamagedDownload: more arrived than there should be, or never the end.
        httpx2.TransportError, huggingface_hub.errors.HfHubHTTPError: as the last attempt.
    """
    from httpx2 import TransportError  # noqa: PLC0415  # slow, and needed for downloads only
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    file = source.file
    patience = Patience(cancelled)
    partial.touch()
    while (have := partial.stat().st_size) < file.size_bytes:
        if have:
            on_bytes(have)
        problem: Exception = DamagedDownload(f"The hub sends {file.name} without its end.")
        try:
            _append(source, partial, on_bytes, cancelled)
        except TransportError as error:
            problem = error
        except HfHubHTTPError as error:
            if not _passing(error.response.status_code):
                raise
            problem = error
        if partial.stat().st_size > have:
            patience.renew()
        if partial.stat().st_size < file.size_bytes:
            log.info("The download of %s broke off: %s", file.name, problem)
            patience.wait(problem)


def verify(path: Path, file: RemoteFile, cancelled: threading.Event) -> str:
    """Hold a file against what the hub says of it; return its SHA-256.

    Raises:
        DamagedDownload: it is something else.
        PullCancelled: soon after ``cancelled`` is set.
    """
    sha256, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(f"blob {file.size_bytes}\0".encode())
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            if cancelled.is_set():
                raise PullCancelled
            sha256.update(chunk)
            if file.sha256 is None:
                git.update(chunk)
    told = file.sha256 or file.blob_id
    if told != (sha256 if file.sha256 else git).hexdigest():
        raise DamagedDownload(
            f"{file.name} arrived damaged: its content is not what the hub says it should be. "
            "Pull the model again."
        )
    return sha256.hexdigest()


def wait_for(call: Callable[[], T], cancelled: threading.Event) -> T:
    """Call something that may take long and changes nothing here; leave it when cancelled.

    Raises:
        PullCancelled: soon after ``cancelled`` is set; the call ends by itself, unheard.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="download-ask", daemon=True).start()
    while not cancelled.is_set():
        if wait([answer], _CHECK_SECONDS).done:
            return answer.result()
    raise PullCancelled


def _append(
    source: Source, partial: Path, on_bytes: Callable[[int], None], cancelled: threading.Event
) -> None:
    """Ask once, and write what comes until the connection ends."""
    file = source.file
    with partial.open("ab") as target:
        for piece in _pieces(source, target.tell(), cancelled):
            if isinstance(piece, int):
                target.truncate(piece)
                target.seek(piece)
                continue
            if target.tell() + len(piece) > file.size_bytes:
                target.truncate(0)
                raise DamagedDownload(f"The hub sends more of {file.name} than it should have.")
            target.write(piece)
            on_bytes(target.tell())


def _pieces(source: Source, offset: int, cancelled: threading.Event) -> Generator[int | bytes]:
    """Yield where the content begins, ``offset`` or 0, and then the content.

    A thread of its own reads from the network: a hub that stalls holds up no cancel.
    """
    pieces: queue.Queue[int | bytes | BaseException | None] = queue.Queue(_PIECES_AHEAD)
    left = threading.Event()

    def run() -> None:
        from huggingface_hub.utils import hf_raise_for_status  # noqa: PLC0415

        wanted = dict(source.headers) | {"Accept-Encoding": "identity"}
        if offset:
            wanted["Range"] = f"bytes={offset}-"
        try:
            answer = hub_session.client().stream(
                "GET", source.url, headers=wanted, timeout=_STALLED_SECONDS
            )
            with answer as response:
                hf_raise_for_status(response)
                pieces.put(offset if response.status_code == HTTPStatus.PARTIAL_CONTENT else 0)
                for chunk in response.iter_bytes():
                    if left.is_set():
                        return
                    pieces.put(chunk)
            pieces.put(None)
        except BaseException as error:
            pieces.put(error)

    threading.Thread(target=run, name="download-read", daemon=True).start()
    try:
        while not cancelled.is_set():
            try:
                piece = pieces.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece
        raise PullCancelled
    finally:
        left.set()
        with suppress(queue.Empty):  # the thread may be waiting for room
            while True:
                pieces.get_nowait()


def _passing(status: int) -> bool:
    """Whether a refusal may be over in a moment."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    )
