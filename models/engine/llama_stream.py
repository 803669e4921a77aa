"""One running completion of llama.cpp: a thread that reads what its child answers."""

import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress

from models.engine.backend import Output, SequenceFailed
from models.engine.llama_answer import LlamaAnswer
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_echo import PromptReader
from models.engine.llama_process import LlamaProcess
from models.engine.llama_request import Asked
from models.errors import InferenceError, InvalidRequest
from models.events import TokenLogprob

log = logging.getLogger(__name__)


class LlamaStream(threading.Thread):
    """Reads from its making; ``put`` takes what it means, on this thread."""

    def __init__(
        self, process: LlamaProcess, ticket: int, asked: Asked, put: Callable[[Output], None]
    ) -> None:
        super().__init__(name=f"llama-stream-{ticket}", daemon=True)
        self._process = process
        self._ticket = ticket
        self._asked = asked
        self._put = put
        self._cancelled = threading.Event()
        self._clients: list[LlamaClient] = []  # those that wait for an answer
        self.start()

    def cancel(self) -> None:
        """End it: the child sees the connection go, and frees the slot. Any thread."""
        self._cancelled.set()
        for client in list(self._clients):
            if sock := client.sock:
                with suppress(OSError):  # it may have ended by itself just now
                    sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        try:
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

    def _read(self) -> None:
        read: tuple[TokenLogprob, ...] = ()
        if self._asked.work.prompt_logprobs:
            reader = PromptReader(self._ticket, self._asked, self._stream, self._ask)
            for progress in reader.read():
                self._put(progress)
            read = reader.logprobs
        answer = LlamaAnswer(self._ticket, self._asked, self._ask, read)
        for chunk in self._stream(self._asked.body):
            for output in answer.outputs(chunk):
                self._put(output)

    def _stream(self, body: JSON) -> Iterator[JSON]:
        """Yield the chunks of an answer, to its end. Raises OSError where it has none."""
        with self._answer(body) as response:
            for chunk in _server_sent(response):
                if "error" in chunk:
                    raise _refusal(chunk)
                yield chunk
                if chunk.get("stop"):
                    return
        raise http.client.IncompleteRead(b"")

    def _ask(self, body: JSON) -> JSON:
        with self._answer(body) as response:
            return json.load(response)

    @contextmanager
    def _answer(self, body: JSON) -> Generator[http.client.HTTPResponse]:
        client = LlamaClient(self._process, timeout_seconds=None)
        self._clients.append(client)
        try:
            client.connect()
            if self._cancelled.is_set():
                raise http.client.NotConnected
            response = client.post("/completion", body)
            if response.status != http.HTTPStatus.OK:
                raise _refusal(json.load(response))
            yield response
        finally:
            self._clients.remove(client)
            client.close()


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
