"""One running completion of llama.cpp: a thread that reads what its child answers."""

import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
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
    """Reads from its making; ``put`` takes what it means, on this thread."""

    def __init__(
        self, process: LlamaProcess, ticket: int, body: JSON, put: Callable[[Output], None]
    ) -> None:
        super().__init__(name=f"llama-stream-{ticket}", daemon=True)
        self._process = process
        self._ticket = ticket
        self._body = body
        self._put = put
        self._tokens = 0
        self._cancelled = threading.Event()
        self._client = LlamaClient(process, timeout_seconds=None)
        self.start()

    def cancel(self) -> None:
        """End it: the child sees the connection go, and frees the slot. Any thread."""
        self._cancelled.set()
        if sock := self._client.sock:
            with suppress(OSError):  # it may have ended by itself just now
                sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        try:
            self._client.connect()
            if not self._cancelled.is_set():
                self._read()
        except InferenceError as error:
            self._put(SequenceFailed(self._ticket, error))
        except (OSError, http.client.HTTPException):
            if not self._cancelled.is_set():
                self._put(SequenceFailed(self._ticket, self._process.end_and_explain()))
        except Exception:  # what it says is not understood: this sequence's trouble alone
            log.exception("An answer of llama.cpp could not be read")
            error = InferenceError("The engine's answer could not be understood: see the log.")
            self._put(SequenceFailed(self._ticket, error))
        finally:
            self._client.close()

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
                return
        raise http.client.IncompleteRead(b"")

    def _outputs(self, chunk: JSON) -> Iterator[Output]:
        if progress := chunk.get("prompt_progress"):
            yield self._progress(progress)
            return
        count = chunk["tokens_predicted"] - self._tokens
        self._tokens += count
        ids: list[int] = chunk["tokens"]
        # Of a character in several tokens llama.cpp tells the last id alone.
        known = tuple(ids) if len(ids) == count else None
        finish = FINISH_REASONS[chunk["stop_type"]] if chunk["stop"] else None
        yield Decoded(self._ticket, chunk["content"].encode(), known, finish, count)

    def _progress(self, progress: dict[str, Any]) -> Output:
        done, total = progress["processed"], progress["total"]
        if done >= total:
            return Prefilled(self._ticket, progress["cache"])
        return Prefilling(self._ticket, done, total)


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
