"""Which models stay in memory, and the one door to the engines behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

import psutil

from models import abilities
from models.chat import GenerateRequest, Origin, Request, UnloadRequest
from models.engine.backend import LoadPlan, OpenBackend
from models.engine.engine import DEFAULT_KEEP_ALIVE_SECONDS, Engine
from models.engine.state import Resident
from models.errors import EngineClosed, InferenceError, LoadFailed, OutOfMemory
from models.events import Event, Failed, Sink
from models.model import Kind, Model

_GIB = 1 << 30
_RESERVE_BYTES = _GIB  # left to everything else on the computer
_LONGEST_DEFAULT_CONTEXT = 32_768  # tokens, where nobody asks for another
_SHORTEST_DEFAULT_CONTEXT = 2_048
_CONTEXT_STEP = 256
_MOST_SEQUENCES = 8  # beyond it a batch gains little on one computer (benchmarks/engine.py)
# Working memory beside weights and KV cache: activations, logits, the process itself.
_OVERHEAD_BYTES = 128 << 20
_WEIGHTS_FACTOR = 1.1


FindModel: TypeAlias = Callable[[str], Model]
"""Finds an installed model by its name. Raises ModelNotFound, InvalidModelName, LoadFailed."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How one kind of model is run. ``end_thread`` is the last call on its thread."""

    open_backend: OpenBackend
    end_thread: Callable[[], None] | None = None


def free_bytes() -> int:
    """Return the memory that can be had without swapping."""
    return psutil.virtual_memory().available


class Residency:
    """Routes each request to its engine, and decides what fits into memory.

    ``submit``, ``cancel`` and ``residents`` may be called from any thread. An engine loads
    a model when the first request for it arrives, and lets it go ``keep_alive_seconds``
    after the last. When memory is short, the least recently used idle model goes first.

    Args:
        runners: by kind of model; a kind without one is refused with a sentence.
        context_length: the default for every model, in tokens; None: by model and memory.
        free_bytes: how much memory is free now.
    """

    def __init__(
        self,
        find: FindModel,
        runners: Mapping[Kind, Runner],
        *,
        keep_alive_seconds: float = DEFAULT_KEEP_ALIVE_SECONDS,
        context_length: int | None = None,
        free_bytes: Callable[[], int] = free_bytes,
    ) -> None:
        self._find = find
        self._context_length = context_length
        self._free_bytes = free_bytes
        self._tickets = count(1)
        self._closed = False
        self._engines = {
            kind: Engine(
                kind.value,
                runner.open_backend,
                self._make_plan,
                keep_alive_seconds=keep_alive_seconds,
                end_thread=runner.end_thread,
            )
            for kind, runner in runners.items()
        }

    # -- Any thread -----------------------------------------------------------

    def submit(self, request: Request, sink: Sink, *, origin: Origin | None = None) -> int:
        """Start a request; return the ticket that cancels it.

        Whatever is wrong with it comes as ``Failed``, perhaps before this returns.
        """
        ticket = next(self._tickets)
        try:
            model = self._find(request.model)
            engine = self._engine(model)
            if isinstance(request, GenerateRequest):
                abilities.check(request, model)
        except InferenceError as error:
            sink(Failed(error))
        else:
            engine.submit(ticket, model, request, sink)
        return ticket

    def cancel(self, ticket: int) -> None:
        """Harmless once the request is over."""
        for engine in self._engines.values():
            engine.cancel(ticket)

    def count_tokens(self, request: GenerateRequest) -> int:
        """Return the tokens of a prompt. Raises InferenceError."""
        raise InferenceError("Tokens cannot be counted yet.")

    def residents(self) -> tuple[Resident, ...]:
        """Return the models in memory or on their way there."""
        return tuple(each for engine in self._engines.values() for each in engine.residents())

    @property
    def alive(self) -> bool:
        """Whether every engine's thread is running."""
        return all(engine.alive for engine in self._engines.values())

    def close(self) -> None:
        """Fail what is running, unload everything, and wait for both."""
        self._closed = True
        for engine in self._engines.values():
            engine.close()

    def _engine(self, model: Model) -> Engine:
        if self._closed:
            raise EngineClosed("The program is shutting down.")
        if model.kind not in self._engines:
            raise LoadFailed(
                f"Model '{model.name}' is in MLX format, and MLX is not installed here: "
                "choose a GGUF model, or install Inglenook's 'mlx' extra."
            )
        return self._engines[model.kind]

    # -- An engine's thread ---------------------------------------------------

    def _make_plan(self, model: Model, asked_context: int | None) -> LoadPlan | None:
        """See ``models.engine.engine.MakePlan``."""
        residents = self.residents()
        # What is still loading has not taken its memory yet.
        free = self._free_bytes() - sum(each.size_bytes for each in residents if each.loading)
        spare = max(0, free - _RESERVE_BYTES)
        least = _smallest_plan(model, asked_context)
        if _needed_bytes(least) <= spare:
            return self._roomiest_plan(least, asked_context, spare)
        reclaimable = sum(each.size_bytes for each in residents)
        if _needed_bytes(least) > spare + reclaimable:
            raise OutOfMemory(
                f"Model '{model.name}' needs {_gib(_needed_bytes(least))} of memory with a context "
                f"of {least.context_length} tokens, and {_gib(spare + reclaimable)} can be had: "
                "close other programs, or choose a smaller model or a shorter context."
            )
        self._evict_one(residents)
        return None

    def _roomiest_plan(self, least: LoadPlan, asked_context: int | None, spare: int) -> LoadPlan:
        """Grow the context to the default and the batch to its most, within a half of the rest."""
        budget = (spare - _needed_bytes(least)) // 2 + _kv_bytes(least)
        trained = least.model.details.context_length or _LONGEST_DEFAULT_CONTEXT
        kv_bytes = max(1, least.model.details.kv_bytes_per_token)
        context = least.context_length
        if asked_context is None:
            most = min(trained, self._context_length or _LONGEST_DEFAULT_CONTEXT)
            fits = budget // kv_bytes // _CONTEXT_STEP * _CONTEXT_STEP
            context = min(most, max(context, fits))
        sequences = max(1, min(_MOST_SEQUENCES, budget // (context * kv_bytes)))
        return replace(least, context_length=context, max_sequences=sequences)

    def _evict_one(self, residents: tuple[Resident, ...]) -> None:
        """Let the least recently used idle model go. With none idle, waiting is all there is."""
        idle = [each for each in residents if not each.running and not each.loading]
        if idle:
            victim = min(idle, key=lambda each: each.last_used).model
            request = UnloadRequest(model=str(victim.name))
            self._engines[victim.kind].submit(next(self._tickets), victim, request, _ignore)


def _smallest_plan(model: Model, asked_context: int | None) -> LoadPlan:
    trained = model.details.context_length or _LONGEST_DEFAULT_CONTEXT
    context = min(trained, asked_context or _SHORTEST_DEFAULT_CONTEXT)
    # llama.cpp rounds up by itself; the rest of us should know.
    context = min(trained, -(-context // _CONTEXT_STEP) * _CONTEXT_STEP)
    return LoadPlan(model, context, 1)


def _kv_bytes(plan: LoadPlan) -> int:
    per_token = max(1, plan.model.details.kv_bytes_per_token)
    return per_token * plan.context_length * plan.max_sequences


def _needed_bytes(plan: LoadPlan) -> int:
    return int(plan.model.size_bytes * _WEIGHTS_FACTOR) + _kv_bytes(plan) + _OVERHEAD_BYTES


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB"


def _ignore(event: Event) -> None:
    """Nobody waits for it."""
