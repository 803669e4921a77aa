"""One running completion of llama.cpp: a thread that reads what its child answers."""

import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from models.engine.backend import Decoded, Output, Prefilled, Prefilling, SequenceFailed
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_process import LlamaProcess
from models.errors import InferenceError, InvalidRequest
from models.events import FinishReason

log = logging.getLogger(__name__)

FINISH_REASONS = {
    "eos": FinishReason.END_OF_TURN,
    "limit": FinishReason.MAX_TOKENS,
}


class LlamaStream(threading.Thread):
    """Reads from its making; ``put`` takes what it means, on this thread.

    ``tickets`` are those of the sequences that the request starts: all of one prompt. ``ended``
    is called last, when they have left the child. ``first`` is done before it asks.

    ``slot`` is where the child has what was read and written, once that is all.
    """

    slot: int | None = None

    def __init__(
        self,
        process: LlamaProcess,
        tickets: Sequence[int],
        body: JSON,
        put: Callable[[Output], None],
        ended: Callable[[], None],
        first: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name=f"llama-stream-{tickets[0]}", daemon=True)
        self._process = process
        self._tickets = tickets
        self._body = body
        self._put = put
        self._ended = ended
        self._first = first
        self._tokens = [0] * len(tickets)
        self._running = set(tickets)
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
            if self._first:
                self._first()
            self._client.connect()
            if not self._cancelled.is_set():
                self._read()
        except InferenceError as error:
            self._fail(error)
        except (OSError, http.client.HTTPException):
            if not self._cancelled.is_set():
                self._fail(self._process.end_and_explain())
        except Exception:  # what it says is not understood: this sequence's trouble alone
            log.exception("An answer of llama.cpp could not be read")
            self._fail(InferenceError("The engine's answer could not be understood: see the log."))
        finally:
            self._client.close()
            self._ended()

    def _fail(self, error: InferenceError) -> None:
        for ticket in self._running:
            self._put(SequenceFailed(ticket, error.again()))

    def _read(self) -> None:
        response = self._client.post("/completion", self._body)
        if response.status != http.HTTPStatus.OK:
            raise _refusal(json.load(response))
        for chunk in _server_sent(response):
            if "error" in chunk:
                raise _refusal(chunk)
            for output in self._outputs(chunk):
                self._put(output)
            if chunk.get("stop"):
                self.slot = chunk["id_slot"]
                index: int = chunk.get("index", 0)
                self._running.discard(self._tickets[index])
                if not self._running:
                    return
        raise http.client.IncompleteRead(b"")

    def _outputs(self, chunk: JSON) -> Iterator[Output]:
        index: int = chunk.get("index", 0)
        ticket = self._tickets[index]
        if progress := chunk.get("prompt_progress"):
            yield _progress(ticket, progress)
            return
        count = chunk["tokens_predicted"] - self._tokens[index]
        self._tokens[index] += count
        ids: list[int] = chunk["tokens"]
        # Of a character in several tokens llama.cpp tells the last id alone.
        known = tuple(ids) if len(ids) == count else None
        finish = FINISH_REASONS[chunk["stop_type"]] if chunk["stop"] else None
        yield Decoded(ticket, chunk["content"].encode(), known, finish, count)


def _progress(ticket: int, progress: dict[str, Any]) -> Output:
    done, total = progress["processed"], progress["total"]
    if done >= total:
        return Prefilled(ticket, progress["cache"])
    return Prefilling(ticket, done, total)


def _server_sent(lines: http.client.HTTPResponse) -> Iterator[JSON]:
    for line in lines:
        name, _, data = line.partition(b": ")
        if name in (b"data", b"error"):
            yield json.loads(data)


def _refusal(body: JSON) -> InferenceError:
    """What llama.cpp says of a request that it will not run, as an error of ours."""
    error = body.get("error", body)
    message = str(error.get("message", "")).strip() or "no reason given"
    if error.get("code") == http.HTTPStatus.BAD_REQUEST:
        return InvalidRequest(f"The engine refused the request: {message}.")
    return InferenceError(f"The engine could not run the request: {message}.")
