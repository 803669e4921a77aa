"""The seam between our engine and the libraries that run a model."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from models.chat import GenerateRequest
from models.engine.prompt import Prompter
from models.errors import InferenceError
from models.events import FinishReason
from models.model import Model


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How to load a model, decided by ``Residency`` from the request and the memory free."""

    model: Model
    context_length: int  # tokens a sequence may hold
    max_sequences: int  # that run at the same time; further ones wait in the backend


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt of one sequence is in the KV cache; its first token comes next."""

    ticket: int
    cached_tokens: int  # of the prompt, those that were there already
    at: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Token:
    """One or a few decoded tokens of one sequence.

    By the one with ``finish`` END_OF_TURN the end-of-turn token has come too, as the
    last of the sequence's ids.
    """

    ticket: int
    piece: bytes  # may begin or end inside a UTF-8 character; empty for special tokens
    ids: tuple[int, ...]
    finish: FinishReason | None = None
    count: int = 1  # tokens decoded, also where the library does not tell all their ids
    at: float = field(default_factory=time.monotonic, compare=False)  # not when it was taken


@dataclass(frozen=True, slots=True)
class SequenceFailed:
    """One sequence has ended in an error; the others go on."""

    ticket: int
    error: InferenceError


Output: TypeAlias = Prefilled | Token | SequenceFailed


class Backend(Protocol):
    """One model, loaded or loading. Only its engine's thread calls it: it needs no locks.

    It may run the model itself (MLX) or speak to a child process that does
    (llama.cpp). It moves tokens, and knows nothing of stop strings:
    ``decoder.py`` does that once for every backend.
    """

    @property
    def context_length(self) -> int:
        """Most tokens a sequence may hold, prompt and completion together."""
        ...

    @property
    def prompter(self) -> Prompter:
        """What makes prompts for it."""
        ...

    def ready(self) -> bool:
        """Return False while the model is still loading.

        Raises:
            LoadFailed, OutOfMemory: it will never be ready.
            ModelCrashed: it was, and is gone.
        """
        ...

    def insert(
        self, ticket: int, prompt: list[int], max_tokens: int, request: GenerateRequest
    ) -> None:
        """Queue a sequence for prefill. ``prompt`` is not empty and ``max_tokens`` > 0.

        Raises:
            InvalidRequest: what the request asks for cannot be done here.
        """
        ...

    def has_work(self) -> bool:
        """Whether ``step`` would do something now.

        A backend whose model runs elsewhere says False while nothing has arrived,
        and calls the ``wake`` it was opened with when something does.
        """
        ...

    def step(self) -> list[Output]:
        """Give each sequence its turn: a chunk of prefill, or one token. Never waits idle.

        Raises:
            ModelCrashed: the model is gone, and its sequences with it.
        """
        ...

    def remove(self, ticket: int) -> None:
        """Drop a sequence and free its KV cache. Harmless once it has finished."""
        ...

    def close(self) -> None:
        """Unload the model: its memory is free on return. Harmless after ModelCrashed."""
        ...


OpenBackend: TypeAlias = Callable[[LoadPlan, Callable[[], None]], Backend]
"""Opens a model on its engine's thread. The second argument is ``wake``: the backend may
call it from any thread to have ``has_work`` asked again.

Raises:
    LoadFailed, OutOfMemory: at once, or later from ``Backend.ready``.
"""
