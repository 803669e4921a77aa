"""What comes back from a model.

Every generation is the same sentence:

    Started  (TextDelta | ReasoningDelta | ToolCallDelta)*  (Finished | Failed)

Exactly one of the last two arrives, whatever happens, and nothing after it.
``Started`` is missing only when ``Failed`` or a cancel comes first. A load is
``Loaded``, an unload ``Unloaded``, texts to embed are ``Embedded`` and documents to rank
``Reranked``, or else ``Failed``, alone. ``Progress`` may come
before the first delta or the end, any number of times; whoever has no word for it
passes over it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from models.errors import InferenceError


class FinishReason(StrEnum):
    """Why decoding ended. The finest distinction that any API family makes."""

    END_OF_TURN = "end_of_turn"
    STOP_STRING = "stop_string"
    MAX_TOKENS = "max_tokens"  # or the context is full
    TOOL_CALLS = "tool_calls"  # the model waits for what its tools say
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens, those found in the prefix cache
    completion_tokens: int = 0  # the end-of-turn token included
    reasoning_tokens: int = 0  # of the completion tokens, those that were thought
    load_seconds: float = 0.0  # from the request to the first prompt token
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0  # from the end of prefill to the last token


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token, and how likely the model itself found it (natural logarithm)."""

    id: int
    piece: bytes
    logprob: float
    top: "tuple[TokenLogprob, ...]" = ()  # the likeliest in its place, the best first


class Stage(StrEnum):
    LOADING = "loading"
    PREFILL = "prefill"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: bytes of weights while loading, prompt tokens in prefill."""

    stage: Stage
    done: int
    total: int  # 0: not known


@dataclass(frozen=True, slots=True)
class Started:
    """The model is loaded and the prompt is on its way through it."""

    prompt_tokens: int
    dropped_messages: int = 0  # the oldest, for want of room in the context
    cut: bool = False  # the middle of what alone was too long is missing too


@dataclass(frozen=True, slots=True)
class PromptRead:
    """The prompt's own tokens, where they were asked for: after Started, before any delta.

    Nothing comes before the first, which has a log-probability of 0.
    """

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str  # never empty, never half a character
    tokens: tuple[TokenLogprob, ...] = ()  # that made it, where they were asked for


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str  # as of TextDelta
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call: the first of each ``index`` has its id and name."""

    index: int  # of the call in this answer, from 0
    arguments: str = ""
    id: str = ""
    name: str = ""
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    reason: FinishReason
    usage: Usage = Usage()
    # Prompt and completion, without the end-of-turn token or stop string that ended it.
    # Ollama's generate hands it out as ``context``. None: not asked for, or the library
    # does not tell every id that it sampled.
    tokens: tuple[int, ...] | None = None
    stop_string: str | None = None  # the one that ended it
    unread_calls: int = 0  # tool calls that cannot be read: text, or arguments that are no JSON


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: tuple[tuple[float, ...], ...]  # of each input, in their order, of unit length
    prompt_tokens: int  # of all inputs, special tokens included
    load_seconds: float = 0.0  # from the request to the first of them


@dataclass(frozen=True, slots=True)
class Reranked:
    """A cross-encoder's scores are its own, without bounds; those by embeddings are cosines."""

    scores: tuple[float, ...]  # of each document, in their order; the best has the highest
    by: Literal["cross-encoder", "embeddings"]
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Loaded:
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Unloaded:
    pass


@dataclass(frozen=True, slots=True)
class Failed:
    error: InferenceError


Delta: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta
Last: TypeAlias = Finished | Embedded | Reranked | Loaded | Unloaded | Failed
Event: TypeAlias = Progress | Started | PromptRead | Delta | Last

Sink: TypeAlias = Callable[[Event], None]
"""Takes the events of one request, on an engine's thread: hands them over and returns."""
