"""What an engine keeps of its requests, its models and its generations."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from models.chat import Request
from models.engine.backend import Backend, LoadPlan
from models.engine.decoder import Decoder
from models.events import Finished, FinishReason, Sink, Usage
from models.model import Model

_FOREVER_SECONDS = 1e9  # thirty years: as an end of a model's stay it is none


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in memory, or on its way there, as seen from outside."""

    model: Model
    loading: bool
    size_bytes: int  # weights and KV cache, as planned
    context_length: int
    expires_at: datetime | None  # aware, UTC; None: it stays
    running: int  # generations, waiting ones included
    last_used: float  # time.monotonic()


@dataclass(frozen=True, slots=True)
class Job:
    ticket: int
    model: Model
    request: Request
    sink: Sink
    submitted: float


@dataclass(slots=True)
class Loaded:
    """A model this engine holds."""

    model: Model
    plan: LoadPlan
    backend: Backend
    keep_alive_seconds: float
    ready: bool = False
    last_used: float = field(default_factory=time.monotonic)
    waiting: deque[Job] = field(default_factory=deque["Job"])  # for it to be ready
    running: set[int] = field(default_factory=set[int])

    @property
    def idle(self) -> bool:
        return self.ready and not self.running and not self.waiting

    @property
    def expires(self) -> float:
        return self.last_used + self.keep_alive_seconds

    def suits(self, model: Model, asked_context: int | None) -> bool:
        """Whether this is still the model on the disk, with context enough."""
        trained = model.details.context_length
        wanted = min(asked_context or 0, trained or asked_context or 0)
        return self.model.digest == model.digest and wanted <= self.plan.context_length

    def resident(self) -> Resident:
        plan, seconds = self.plan, self.expires - time.monotonic()
        kv_bytes = self.model.details.kv_bytes_per_token * plan.context_length * plan.max_sequences
        stay = timedelta(seconds=min(max(0.0, seconds), _FOREVER_SECONDS))
        return Resident(
            model=self.model,
            loading=not self.ready,
            size_bytes=self.model.size_bytes + kv_bytes,
            context_length=plan.context_length,
            expires_at=None if seconds > _FOREVER_SECONDS else datetime.now(UTC) + stay,
            running=len(self.running) + len(self.waiting),
            last_used=self.last_used,
        )


@dataclass(slots=True)
class Active:
    """A generation between its ``Started`` and its ``Finished``."""

    loaded: Loaded
    decoder: Decoder
    sink: Sink
    prompt: list[int]
    submitted: float
    started: float
    want_tokens: bool
    prefilled: float | None = None
    latest: float | None = None  # when the latest token was decoded
    cached_tokens: int = 0
    completion: list[int] = field(default_factory=list[int])
    completion_tokens: int = 0
    said: list[str] = field(default_factory=list[str])

    def finished(self, reason: FinishReason) -> Finished:
        prefilled = time.monotonic() if self.prefilled is None else self.prefilled
        usage = Usage(
            prompt_tokens=len(self.prompt),
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            load_seconds=self.started - self.submitted,
            prefill_seconds=prefilled - self.started,
            decode_seconds=(self.latest or prefilled) - prefilled,
        )
        tokens = (*self.prompt, *self._said_tokens(reason)) if self.want_tokens else None
        return Finished(reason, usage, tokens)

    def _said_tokens(self, reason: FinishReason) -> list[int]:
        """The completion without what ended it."""
        match reason:
            case FinishReason.END_OF_TURN:
                return self.completion[:-1]
            case FinishReason.STOP_STRING:  # which may begin inside a token
                return self.loaded.backend.prompter.tokenizer.encode("".join(self.said))
            case _:
                return self.completion
