"""One running completion of llama.cpp: a thread that reads what its child answers."""

import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress

from models.engine.backend import Output, Prefilling, SequenceFailed
from models.engine.llama_answer import LlamaAnswer
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_echo import PromptReader
from models.engine.llama_process import LlamaProcess
from models.engine.llama_request import Asked
from models.errors import InferenceError, InvalidRequest
from models.events import TokenLogprob

log = logging.getLogger(__name__)


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
        asked: Asked,
        put: Callable[[Output], None],
        ended: Callable[[], None],
        first: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name=f"llama-stream-{tickets[0]}", daemon=True)
        self._process = process
        self._tickets = tickets
        self._asked = asked
        self._put = put
        self._ended = ended
        self._first = first
        self._running = set(tickets)
        self._cancelled = threading.Event()
        self._clients: list[LlamaClient] = []  # those that wait for an answer
        self.start()

    def cancel(self) -> None:
        """End it: the child sees that nobody will ask more, and frees its slots. Any thread.

        What it says is read on to its end: when that has come, it has noted the cancel.
        """
        self._cancelled.set()
        for client in list(self._clients):
            if sock := client.sock:
                with suppress(OSError):  # it may have ended by itself just now
                    sock.shutdown(socket.SHUT_WR)

    def run(self) -> None:
        try:
            if self._first:
                self._first()
            if not self._cancelled.is_set():
                self._read()
        except InferenceError as error:
            self._fail(error)
        except (OSError, http.client.HTTPException):
            if not self._cancelled.is_set():
                self._fail(self._process.end_and_explain())
        except Exception:  # what it says is not understood: this sequence's trouble alone
            if not self._cancelled.is_set():  # or it was broken off
                log.exception("An answer of llama.cpp could not be read")
            self._fail(InferenceError("The engine's answer could not be understood: see the log."))
        finally:
            self._ended()

    def _fail(self, error: InferenceError) -> None:
        for ticket in self._running:
            self._put(SequenceFailed(ticket, error.again()))

    def _read(self) -> None:
        read = tuple(self._read_prompt()) if self._asked.reads_prompt else ()
        answers = [LlamaAnswer(each, self._asked, self._ask, read) for each in self._tickets]
        for chunk in self._stream(self._asked.body):
            if self._cancelled.is_set():
                continue
            index: int = chunk.get("index", 0)
            if chunk.get("stop"):  # first: whoever has heard the last word may close the model
                self.slot = chunk["id_slot"]
            for output in answers[index].outputs(chunk):
                self._put(output)
            if chunk.get("stop"):
                self._running.discard(self._tickets[index])

    def _read_prompt(self) -> Sequence[TokenLogprob]:
        reader = PromptReader(self._asked, self._stream, self._ask)
        for done in reader.read():
            for ticket in self._tickets:
                self._put(Prefilling(ticket, done, len(self._asked.prompt)))
        return reader.logprobs

    def _stream(self, body: JSON) -> Iterator[JSON]:
        """Yield the chunks of an answer, to its end. Raises OSError where it has none."""
        left: int = body.get("n_cmpl", 1)  # that have not ended
        with self._answer(body) as response:
            for chunk in _server_sent(response):
                if "error" in chunk:
                    raise _refusal(chunk)
                yield chunk
                left -= bool(chunk.get("stop"))
                if not left:
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
            response = client.post("/completion", self._asked.requests.always | body)
            if response.status != http.HTTPStatus.OK:
                raise _refusal(json.load(response))
            yield response
        finally:
            self._clients.remove(client)
            client.close()


def _server_sent(response: http.client.HTTPResponse) -> Iterator[JSON]:
    """Yield what the lines of an answer say.

    It is read as it comes: line by line, http.client takes as long for the line as it takes to
    understand it.
    """
    rest = b""
    while piece := response.read1():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            name, _, data = line.partition(b": ")
            if name in (b"data", b"error"):
                yield json.loads(data)
    if rest:  # the child died in the middle of it
        raise http.client.IncompleteRead(rest)


def _refusal(body: JSON) -> InferenceError:
    """What llama.cpp says of a request that it will not run, as an error of ours."""
    error = body.get("error", body)
    message = str(error.get("message", "")).strip() or "no reason given"
    if error.get("code") == http.HTTPStatus.BAD_REQUEST:
        return InvalidRequest(f"The engine refused the request: {message}.")
    return InferenceError(f"The engine could not run the request: {message}.")
