"""The llama.cpp backend: a supervised child process, and the streams it answers with.

The child (``llama_worker.py``) runs llama.cpp's own server on a loopback port that only
who has the key can use. Here is everything that this side of the pipe does: start it,
speak to it, and say in plain words why it would not load or has died.
"""

import http.client
import json
import queue
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from models.chat import GenerateRequest
from models.engine.backend import LoadPlan, Output, Prefilled, SequenceFailed, Token
from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.prompt import Prompter
from models.engine.sampling import resolve
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Tokenizer
from models.errors import InferenceError, InvalidRequest
from models.events import FinishReason
from models.gguf import TemplateSource, read_template

_FINISH_REASONS = {
    "eos": FinishReason.END_OF_TURN,
    "limit": FinishReason.MAX_TOKENS,
}


def open_llama(plan: LoadPlan, wake: Callable[[], None]) -> "LlamaBackend":
    """Start loading a GGUF file; returns at once. Raises LoadFailed, OutOfMemory."""
    return LlamaBackend(plan, read_template(plan.model.path), wake)


class LlamaBackend:
    """A ``Backend`` whose model runs in a child process.

    A thread for each running sequence reads its stream and leaves what came in an outbox,
    which ``step`` empties. At most ``max_sequences`` run; the others wait here.
    """

    def __init__(self, plan: LoadPlan, source: TemplateSource, wake: Callable[[], None]) -> None:
        self._plan = plan
        template = _compiled(source)
        self._wake = wake
        # Stream threads put, the engine thread takes.
        self._outbox: queue.SimpleQueue[Output] = queue.SimpleQueue()
        self._streams: dict[int, _Stream] = {}
        self._waiting: deque[tuple[int, JSON]] = deque()
        self._process = LlamaProcess(
            {
                "model": str(plan.model.path),
                "context_length": plan.context_length,
                "max_sequences": plan.max_sequences,
            },
            model_name=str(plan.model.name),
            on_change=wake,
        )
        tokenizer = LlamaTokenizer(self._process, source)
        self.prompter = Prompter(template, tokenizer, plan.context_length)

    @property
    def context_length(self) -> int:
        return self._plan.context_length

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def key(self) -> str:
        """Without which the child answers nobody."""
        return self._process.key

    def ready(self) -> bool:
        return self._process.ready()

    def insert(
        self, ticket: int, prompt: list[int], max_tokens: int, request: GenerateRequest
    ) -> None:
        sampling = resolve(request.sampling, {})
        body: JSON = {
            "prompt": prompt,
            "n_predict": max_tokens,
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "cache_prompt": True,
        }
        for field in type(sampling).__dataclass_fields__:
            body[field] = getattr(sampling, field)
        self._waiting.append((ticket, body))
        self._start_waiting()

    def has_work(self) -> bool:
        return not self._outbox.empty() or self._process.dead

    def step(self) -> list[Output]:
        outputs: list[Output] = []
        while not self._outbox.empty():
            output = self._outbox.get()
            if output.ticket not in self._streams:
                continue  # it was removed meanwhile
            outputs.append(output)
            if isinstance(output, SequenceFailed) or (isinstance(output, Token) and output.finish):
                del self._streams[output.ticket]
        self._start_waiting()
        if not outputs and self._process.dead:
            raise self._process.death()
        return outputs

    def remove(self, ticket: int) -> None:
        if stream := self._streams.pop(ticket, None):
            stream.cancel()
        elif self._waiting:
            self._waiting = deque(each for each in self._waiting if each[0] != ticket)
        self._start_waiting()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.cancel()
        self._streams.clear()
        self._process.close()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._streams) < self._plan.max_sequences:
            ticket, body = self._waiting.popleft()
            self._streams[ticket] = _Stream(
                self._process, self.prompter.tokenizer, ticket, body, self._put
            )

    def _put(self, output: Output) -> None:  # called on a stream's thread
        self._outbox.put(output)
        self._wake()


def _compiled(source: TemplateSource) -> ChatTemplate | None:
    if source.text is None:
        return None
    return ChatTemplate(source.text, bos_token=source.bos_token, eos_token=source.eos_token)


class _Stream(threading.Thread):
    """One running completion: reads the child's answer and puts what it means."""

    def __init__(
        self,
        process: LlamaProcess,
        tokenizer: Tokenizer,
        ticket: int,
        body: JSON,
        put: Callable[[Output], None],
    ) -> None:
        super().__init__(name=f"llama-stream-{ticket}", daemon=True)
        self._process = process
        self._tokenizer = tokenizer
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
            if self._cancelled.is_set():
                return
            self._read()
        except InferenceError as error:
            self._put(SequenceFailed(self._ticket, error))
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            if not self._cancelled.is_set():
                self._put(SequenceFailed(self._ticket, self._process.death()))
        finally:
            self._client.close()

    def _read(self) -> None:
        response = self._client.post("/completion", self._body)
        if response.status != http.HTTPStatus.OK:
            self._put(SequenceFailed(self._ticket, _refusal(json.load(response))))
            return
        for chunk in _server_sent(response):
            if "error" in chunk:
                self._put(SequenceFailed(self._ticket, _refusal(chunk)))
                return
            for output in self._outputs(chunk):
                self._put(output)
            if chunk.get("stop"):
                return
        raise http.client.IncompleteRead(b"")

    def _outputs(self, chunk: JSON) -> Iterator[Output]:
        if progress := chunk.get("prompt_progress"):
            if progress["processed"] >= progress["total"]:
                yield Prefilled(self._ticket, progress["cache"])
            return
        count = chunk["tokens_predicted"] - self._tokens
        self._tokens += count
        ids: list[int] = chunk["tokens"]
        piece: str = chunk["content"]
        if len(ids) < count and piece:
            # Of a character in several tokens llama.cpp tells the last id alone.
            ids = self._tokenizer.encode(piece)
        finish = _FINISH_REASONS[chunk["stop_type"]] if chunk["stop"] else None
        yield Token(self._ticket, piece.encode(), tuple(ids), finish, count)


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
