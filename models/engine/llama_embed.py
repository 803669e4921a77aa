"""Embeddings and scores of a llama.cpp model: its child is asked for some rows at a time."""

import base64
import http.client
import json
import logging
import socket
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress

from models.engine.backend import EmbedWork, Output, Pooled, SequenceFailed
from models.engine.inputs import unknown_tokens
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.llama_slots import Turn
from models.errors import InferenceError
from models.model import Details
from models.pooling import reads_whole

log = logging.getLogger(__name__)

# Rows and tokens of one question to an encoder: it is cancelled as a whole, and told as a whole.
_MOST_ROWS = 32
_MOST_TOKENS = 2048
# Questions of one request that are with the child, or wait for a slot of it.
_MOST_AT_ONCE = 8


class LlamaEmbeddings:
    """The requests for embeddings of one model, and the turns that each still needs.

    An encoder takes many rows at once; of a decoder a row takes a slot, and its tokens are
    cells of the KV cache. If it writes texts too, one turn of each request is out at a time:
    the next one queues behind the texts that have come meanwhile.
    """

    def __init__(self, details: Details) -> None:
        self._most_rows = _MOST_ROWS if reads_whole(details.pooling) else 1
        self._most_at_once = 1 if details.completes else _MOST_AT_ONCE
        self._works: dict[int, EmbedWork] = {}  # of requests that have not ended, by ticket
        self._left: dict[int, Iterator[range]] = {}  # what each has not asked for yet

    def __contains__(self, ticket: int) -> bool:
        """Whether it has not ended."""
        return ticket in self._works

    def add(self, ticket: int, work: EmbedWork, order: Callable[[], int]) -> Iterator[Turn]:
        """Yield its first turns. ``order`` gives each its place in the queue."""
        self._works[ticket] = work
        self._left[ticket] = _questions(work, self._most_rows)
        for _ in range(self._most_at_once):
            yield from self.after(ticket, order)

    def after(self, ticket: int, order: Callable[[], int]) -> Iterator[Turn]:
        """Yield the next turn of a request of which one has ended, if there is one."""
        if ticket not in self._left or (places := next(self._left[ticket], None)) is None:
            return
        rows = self._works[ticket].rows
        tokens = sum(len(rows[place]) for place in places)
        yield Turn(
            tickets=(ticket,), prompt_tokens=tokens, most_tokens=0, order=order(), places=places
        )

    def start(
        self, process: LlamaProcess, turn: Turn, put: Callable[[Output | None], None]
    ) -> "LlamaQuestion":
        (ticket,) = turn.tickets
        return LlamaQuestion(process, ticket, self._works[ticket], turn.places, put)

    def remove(self, ticket: int) -> bool:
        """Forget a request; return whether it was there."""
        self._left.pop(ticket, None)
        return self._works.pop(ticket, None) is not None


class LlamaQuestion(threading.Thread):
    """Some rows of one request: it asks from its making. ``put`` gets None when it has ended."""

    slot = None  # nothing of it is worth to be kept

    def __init__(
        self,
        process: LlamaProcess,
        ticket: int,
        work: EmbedWork,
        places: range,
        put: Callable[[Output | None], None],
    ) -> None:
        super().__init__(name=f"llama-embed-{ticket}", daemon=True)
        self._process = process
        self._ticket = ticket
        self._work = work
        self._places = places
        self._put = put
        self._cancelled = threading.Event()
        self._client = LlamaClient(process, timeout_seconds=None)
        self.start()

    def cancel(self) -> None:
        """End it: the child sees that nobody will ask more, and frees its slots. Any thread.

        What it says is read on to its end: when that has come, it has noted the cancel.
        """
        self._cancelled.set()
        if sock := self._client.sock:
            with suppress(OSError):  # it may have ended by itself just now
                sock.shutdown(socket.SHUT_WR)

    def run(self) -> None:
        try:
            vectors = self._ask()
            self._put(Pooled(self._ticket, dict(zip(self._places, vectors, strict=True))))
        except InferenceError as error:
            self._put(SequenceFailed(self._ticket, error))
        except (OSError, http.client.HTTPException):
            if not self._cancelled.is_set():
                self._put(SequenceFailed(self._ticket, self._process.end_and_explain()))
        except Exception:  # what it says is not understood: this request's trouble alone
            if not self._cancelled.is_set():  # or it was broken off
                log.exception("An answer of llama.cpp could not be read")
            error = InferenceError("The engine's answer could not be understood: see the log.")
            self._put(SequenceFailed(self._ticket, error))
        finally:
            self._client.close()
            self._put(None)

    def _ask(self) -> list[tuple[float, ...]]:
        work = self._work
        self._client.connect()
        if self._cancelled.is_set():
            raise http.client.NotConnected
        if work.documents:
            documents = [work.documents[place] for place in self._places]
            return _scores(self._post("/v1/rerank", query=work.query, documents=documents))
        rows = [work.rows[place] for place in self._places]
        return _vectors(self._post("/v1/embeddings", input=rows, encoding_format="base64"))

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
