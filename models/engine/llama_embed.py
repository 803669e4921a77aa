"""Embeddings and scores of a llama.cpp model: threads that ask its child, some rows at a time."""

import base64
import http.client
import json
import logging
import socket
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from models.engine.backend import EmbedWork, Output, Pooled, SequenceFailed
from models.engine.inputs import unknown_tokens
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_process import LlamaProcess
from models.errors import InferenceError

log = logging.getLogger(__name__)

# Requests that are with the child at a time: each has a thread.
_MOST_AT_ONCE = 4
# Rows and tokens of one question: it is cancelled as a whole, and told as a whole.
_MOST_ROWS = 32
_MOST_TOKENS = 4096


class LlamaEmbeddings:
    """All requests for embeddings of one model. ``put`` takes what comes of them, on any thread.

    ``generates``: the child writes texts too. One row at a time is asked of it then, so that
    a thousand of them do not stand before the next text.
    """

    def __init__(
        self, process: LlamaProcess, put: Callable[[Output], None], *, generates: bool
    ) -> None:
        self._process = process
        self._put = put
        self._most_rows = 1 if generates else _MOST_ROWS
        self._most_at_once = 1 if generates else _MOST_AT_ONCE
        self._waiting: deque[tuple[int, EmbedWork]] = deque()
        self._running: dict[int, _Asking] = {}
        self._left: dict[int, int] = {}  # rows of which nothing has come yet

    def __contains__(self, ticket: int) -> bool:
        """Whether it has not ended: what comes of another is to be passed over."""
        return ticket in self._left

    def add(self, ticket: int, work: EmbedWork) -> None:
        self._left[ticket] = len(work.rows)
        self._waiting.append((ticket, work))
        self._start_waiting()

    def took(self, output: Output) -> None:
        """Note what has come of one of them: the last of it makes room for the next."""
        if isinstance(output, Pooled):
            self._left[output.ticket] -= len(output.vectors)
        if isinstance(output, SequenceFailed) or not self._left[output.ticket]:
            self.remove(output.ticket)

    def remove(self, ticket: int) -> None:
        """Harmless where it is unknown or over."""
        self._left.pop(ticket, None)
        if asking := self._running.pop(ticket, None):
            asking.cancel()
        else:
            self._waiting = deque(each for each in self._waiting if each[0] != ticket)
        self._start_waiting()

    def close(self) -> None:
        self._waiting.clear()
        for ticket in list(self._running):
            self.remove(ticket)

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._most_at_once:
            ticket, work = self._waiting.popleft()
            self._running[ticket] = _Asking(self._process, ticket, work, self._most_rows, self._put)


class _Asking(threading.Thread):
    """One request: it asks from its making until it is through, or cancelled."""

    def __init__(
        self,
        process: LlamaProcess,
        ticket: int,
        work: EmbedWork,
        most_rows: int,
        put: Callable[[Output], None],
    ) -> None:
        super().__init__(name=f"llama-embed-{ticket}", daemon=True)
        self._process = process
        self._ticket = ticket
        self._work = work
        self._most_rows = most_rows
        self._put = put
        self._cancelled = threading.Event()
        self._client = LlamaClient(process, timeout_seconds=None)
        self.start()

    def cancel(self) -> None:
        """End it: the child sees the connection go, and frees its slots. Any thread."""
        self._cancelled.set()
        if sock := self._client.sock:
            with suppress(OSError):  # it may have ended by itself just now
                sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        try:
            for places in _questions(self._work, self._most_rows):
                vectors = self._ask(places)
                if self._cancelled.is_set():
                    return
                self._put(Pooled(self._ticket, dict(zip(places, vectors, strict=True))))
        except InferenceError as error:
            self._put(SequenceFailed(self._ticket, error))
        except (OSError, http.client.HTTPException):
            if not self._cancelled.is_set():
                self._put(SequenceFailed(self._ticket, self._process.end_and_explain()))
        except Exception:  # what it says is not understood: this request's trouble alone
            log.exception("An answer of llama.cpp could not be read")
            error = InferenceError("The engine's answer could not be understood: see the log.")
            self._put(SequenceFailed(self._ticket, error))

    def _ask(self, places: range) -> list[tuple[float, ...]]:
        # llama.cpp closes a connection that idles: each question has its own.
        self._client = LlamaClient(self._process, timeout_seconds=None)
        try:
            self._client.connect()
            if self._cancelled.is_set():
                raise http.client.HTTPException
            if self._work.documents:
                documents = [self._work.documents[place] for place in places]
                return _scores(
                    self._post("/v1/rerank", query=self._work.query, documents=documents)
                )
            rows = [self._work.rows[place] for place in places]
            return _vectors(self._post("/v1/embeddings", input=rows, encoding_format="base64"))
        finally:
            self._client.close()

    def _post(self, path: str, **body: object) -> JSON:
        """Raises InferenceError where the child refuses."""
        response = self._client.post(path, body)
        answer = json.load(response)
        if response.status == http.HTTPStatus.OK:
            return answer
        message = str(answer.get("error", {}).get("message", "")).strip() or "no reason given"
        if "invalid tokens" in message:
            raise unknown_tokens()
        raise InferenceError(f"The engine could not embed the texts: {message}.")


def _questions(work: EmbedWork, most_rows: int) -> Iterator[range]:
    """The places of the rows of each question."""
    start = tokens = 0
    for place, row in enumerate(work.rows):
        full = place - start == most_rows or tokens + len(row) > _MOST_TOKENS
        if place > start and full:
            yield range(start, place)
            start, tokens = place, 0
        tokens += len(row)
    yield range(start, len(work.rows))


def _vectors(answer: JSON) -> list[tuple[float, ...]]:
    vectors: dict[int, tuple[float, ...]] = {}
    for each in answer["data"]:
        numbers = array("f")  # of this computer, which is the child's too
        numbers.frombytes(base64.b64decode(each["embedding"]))
        vectors[each["index"]] = tuple(numbers)
    return [vectors[place] for place in range(len(vectors))]


def _scores(answer: JSON) -> list[tuple[float, ...]]:
    """They come the best first. What is no number is null in JSON."""
    scores: dict[int, float | None] = {
        each["index"]: each["relevance_score"] for each in answer["results"]
    }
    return [
        (float("nan") if (score := scores[place]) is None else score,)
        for place in range(len(scores))
    ]
