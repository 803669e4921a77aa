"""The llama.cpp backend: one model in a child process, and the sequences that run on it.

The child (``llama_worker.py``) runs llama.cpp's own server on a loopback port that only
who has the key can use; ``llama_process.py`` starts and ends it, ``llama_stream.py`` reads
one answer of it.
"""

import queue
from collections import deque
from collections.abc import Callable, Mapping

from models.engine.backend import (
    Admitted,
    Counters,
    Decoded,
    LoadSpec,
    Output,
    SequenceFailed,
    Work,
)
from models.engine.llama_client import JSON
from models.engine.llama_process import LlamaProcess
from models.engine.llama_stream import LlamaStream
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.prompt import Prompter
from models.engine.sampling import Sampling, resolve
from models.engine.template import ChatTemplate
from models.gguf import TemplateSource, read_template
from models.worker import PYTHON, Command


def open_llama(
    spec: LoadSpec, wake: Callable[[], None], *, command: Command = PYTHON
) -> "LlamaBackend":
    """Start loading a GGUF file; returns at once. Raises LoadFailed, OutOfMemory."""
    return LlamaBackend(spec, read_template(spec.model.path), wake, command)


class LlamaBackend:
    """A ``Backend`` whose model runs in a child process.

    A thread for each running sequence reads its stream and leaves what came in an outbox,
    which ``step`` empties. At most ``max_sequences`` run; the others wait here.
    """

    def __init__(
        self, spec: LoadSpec, source: TemplateSource, wake: Callable[[], None], command: Command
    ) -> None:
        self._spec = spec
        self._wake = wake
        # Stream threads put, the lane's thread takes.
        self._outbox: queue.SimpleQueue[Output] = queue.SimpleQueue()
        self._admitted: list[Output] = []
        self._streams: dict[int, LlamaStream] = {}
        self._waiting: deque[tuple[int, JSON]] = deque()
        template = _compiled(source)
        self._process = LlamaProcess(
            {
                "model": str(spec.model.path),
                "context_length": spec.context_length,
                "max_sequences": spec.max_sequences,
                "prompt_cache_bytes": spec.prompt_cache_bytes,
                "kv_type": spec.kv_type.value,
            },
            model_name=str(spec.model.name),
            on_change=wake,
            command=command,
        )
        tokenizer = LlamaTokenizer(self._process, source)
        self._prompter = Prompter(template, tokenizer, spec.context_length)

    @property
    def prompter(self) -> Prompter:
        return self._prompter

    @property
    def loaded_bytes(self) -> int:
        return 0  # llama.cpp does not tell

    @property
    def counters(self) -> Counters:
        return Counters(waiting_sequences=len(self._waiting))

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def key(self) -> str:
        """Without which the child answers nobody."""
        return self._process.key

    def load(self) -> bool:
        return self._process.ready()

    def insert(self, works: Mapping[int, Work]) -> None:
        for ticket, work in works.items():
            self._insert(ticket, work)
        self._start_waiting()

    def _insert(self, ticket: int, work: Work) -> None:
        body: JSON = {
            "prompt": work.tokens,
            "n_predict": work.max_tokens,
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "cache_prompt": True,
            **_sampling_fields(resolve(work.sampling, {})),
        }
        self._admitted.append(Admitted(ticket, len(work.tokens)))
        self._waiting.append((ticket, body))

    def has_work(self) -> bool:
        return bool(self._admitted) or not self._outbox.empty() or self._process.dead

    def step(self) -> list[Output]:
        outputs, self._admitted = self._admitted, []
        while not self._outbox.empty():
            output = self._outbox.get()
            if output.ticket not in self._streams:
                continue  # it was removed meanwhile
            outputs.append(output)
            if isinstance(output, SequenceFailed) or (
                isinstance(output, Decoded) and output.finish
            ):
                del self._streams[output.ticket]
        self._start_waiting()
        if not outputs and self._process.dead:
            raise self._process.end_and_explain()
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
        while self._waiting and len(self._streams) < self._spec.max_sequences:
            ticket, body = self._waiting.popleft()
            self._streams[ticket] = LlamaStream(self._process, ticket, body, self._put)

    def _put(self, output: Output) -> None:  # called on a stream's thread
        self._outbox.put(output)
        self._wake()


def _compiled(source: TemplateSource) -> ChatTemplate | None:
    if source.text is None:
        return None
    return ChatTemplate(source.text, bos_token=source.bos_token, eos_token=source.eos_token)


def _sampling_fields(sampling: Sampling) -> JSON:
    """What llama.cpp's server calls them (tools/server/README.md)."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "typical_p": sampling.typical_p,
        "seed": sampling.seed,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": sampling.repeat_last_n,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
