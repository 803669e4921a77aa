"""The seam between our engine and the libraries that run a model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from models.chat import SamplingParams
from models.counters import Counters
from models.drafts import Drafts
from models.engine.grammar import CompiledGrammar
from models.engine.thought_budget import ThoughtBudget
from models.errors import InferenceError
from models.events import FinishReason, TokenLogprob
from models.images import Picture
from models.ledger import Need
from models.model import Adapter, KvType, Model

if TYPE_CHECKING:  # it brings Jinja along, which no start of the program needs
    from models.engine.prompt import Prompter


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """How to load a model, decided by ``Residency`` from the request and the memory free."""

    model: Model
    context_length: int  # tokens a sequence may hold
    max_sequences: int  # that run at the same time; further ones wait in the backend
    need: Need
    # Of the KV cache that all sequences share; None: each has one of its own, for a context.
    shared_tokens: int | None = None
    kv_type: KvType = KvType.F16
    adapters: tuple[Adapter, ...] = ()
    drafts: Drafts | None = None
    prompt_cache_bytes: int = 0  # for prompts whose sequences have ended, of need.cache_bytes
    features_bytes: int = 0  # for what was made of pictures, of need.working_bytes

    @property
    def key(self) -> str:
        """The same for whatever may share one loaded model, by any name."""
        return key_of(self.model)


def key_of(model: Model) -> str:
    return f"{model.kind.value}-{model.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All that a backend needs to run one sequence; it never sees a request."""

    tokens: tuple[int, ...]  # the prompt, not empty
    max_tokens: int  # that may follow, > 0
    sampling: SamplingParams
    # Lengths at which later prompts are likely to part from this one: the ends of the system
    # prompt and of each user message, ascending.
    checkpoints: tuple[int, ...] = ()
    grammar: CompiledGrammar | None = None
    thought: ThoughtBudget | None = None  # None: it may think as long as it likes
    top_logprobs: int | None = None  # None: none at all; 0: of the sampled token alone
    prompt_logprobs: bool = False  # ``Prefilled.logprobs``
    pictures: tuple[Picture, ...] = ()  # as ``Prompt`` has them
    pieces: tuple[str, ...] = ()
    urgent: bool = False  # a person watches it: before those that are not


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedWork:
    """Rows of tokens, each of which becomes a vector of unit length.

    A model with pooling "rank" makes one number of each instead: how well the document in it
    answers the query in it. ``query`` and ``documents`` are the texts that its rows were made
    of, for a library that wants to make them itself.
    """

    rows: tuple[tuple[int, ...], ...]  # not empty, and none of them is; each fits the context
    query: str = ""
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A sequence has its place: the prompt is on its way through the model."""

    ticket: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Prefilling:
    ticket: int
    done_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt of one sequence is in the KV cache; its first token comes next."""

    ticket: int
    cached_tokens: int  # of the prompt, those that were there already
    logprobs: tuple[TokenLogprob, ...] = ()  # of the prompt's tokens, where they were asked for
    at: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One or a few tokens of one sequence.

    With END_OF_TURN the last of ``ids`` is the end-of-turn token itself, which adds nothing
    to ``piece``.
    """

    ticket: int
    piece: bytes  # may begin or end inside a UTF-8 character; empty for special tokens
    ids: tuple[int, ...] | None  # None: the library does not tell all of them
    finish: FinishReason | None = None
    count: int = 1  # tokens decoded
    logprobs: tuple[TokenLogprob, ...] = ()  # of each, where they were asked for
    drafted: int = 0  # tokens in the draft that was read for it
    accepted: int = 0  # of them, those that were written
    at: float = field(default_factory=time.monotonic, compare=False)  # not when it was taken


@dataclass(frozen=True, slots=True)
class Pooled:
    """Some rows of an ``EmbedWork`` are done, each once: by their places, what came of them."""

    ticket: int
    vectors: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class SequenceFailed:
    """One sequence, or one ``EmbedWork``, has ended in an error; the others go on."""

    ticket: int
    error: InferenceError


Output: TypeAlias = Admitted | Prefilling | Prefilled | Decoded | Pooled | SequenceFailed


class Backend(Protocol):
    """One model, loaded or loading. Only its lane's thread calls it: it needs no locks.

    It may run the model itself (MLX) or speak to a child process that does
    (llama.cpp). It moves tokens, and knows nothing of stop strings:
    ``decoder.py`` does that once for every backend.
    """

    @property
    def prompter(self) -> "Prompter":
        """What makes prompts for it, on any thread. There once ``load`` has said True."""
        ...

    @property
    def loaded_bytes(self) -> int:
        """Of the weights, those that are in memory; 0 where that is not known."""
        ...

    @property
    def counters(self) -> Counters:
        """For ``ps``: asked often, so it must be quick. Also before ``load`` has said True."""
        ...

    def load(self) -> bool:
        """Go on loading for a moment, where this thread does it; return whether it is ready.

        Raises:
            LoadFailed, OutOfMemory: it will never be ready.
            ModelCrashed: it was, and is gone.
        """
        ...

    def insert(self, works: Mapping[int, Work]) -> None:
        """Queue sequences, and return at once: ``Admitted`` comes of each from a later step.

        Args:
            works: by ticket. They differ in their seeds alone, and share one prefill.

        Raises:
            InvalidRequest: what is asked for cannot be done here.
        """
        ...

    def embed(self, ticket: int, work: EmbedWork) -> None:
        """Queue rows, and return at once: ``Pooled`` comes of them, some each step.

        Raises:
            InvalidRequest: what is asked for cannot be done here.
        """
        ...

    def has_work(self) -> bool:
        """Whether ``load`` or ``step`` would do something now.

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
        """Drop a sequence and free its KV cache, or rows. Harmless once it has finished."""
        ...

    def close(self) -> None:
        """Unload the model: its memory is free on return. Harmless after ModelCrashed."""
        ...


OpenBackend: TypeAlias = Callable[[LoadSpec, Callable[[], None]], Backend]
"""Opens a model on its lane's thread, and returns soon: ``Backend.load`` does the work. The
second argument is ``wake``: the backend may call it from any thread to have ``has_work``
asked again.

Raises:
    LoadFailed, OutOfMemory: at once, or later from ``Backend.load``.
"""
