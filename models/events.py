"""What comes back from a model.

Every generation is the same sentence:

    Started  TextDelta*  (Finished | Failed)

Exactly one of the last two arrives, whatever happens, and nothing after it.
``Started`` is missing only when ``Failed`` or a cancel comes first. Loading and
unloading are a ``Finished`` or a ``Failed`` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from models.errors import InferenceError


class FinishReason(StrEnum):
    """Why decoding ended. The finest distinction that any API family makes."""

    END_OF_TURN = "end_of_turn"
    STOP_STRING = "stop_string"
    MAX_TOKENS = "max_tokens"  # or the context is full
    CANCELLED = "cancelled"
    LOADED = "loaded"
    UNLOADED = "unloaded"


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens, those found in the prefix cache
    completion_tokens: int = 0  # the end-of-turn token included
    load_seconds: float = 0.0  # from the request to the first prompt token
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Started:
    """The model is loaded and the prompt is on its way through it."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str  # never empty, never half a character


@dataclass(frozen=True, slots=True)
class Finished:
    reason: FinishReason
    usage: Usage = Usage()
    # Prompt and completion, without the end-of-turn token or stop string that ended it.
    # Ollama's generate hands it out as ``context``.
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    error: InferenceError


Event: TypeAlias = Started | TextDelta | Finished | Failed

Sink: TypeAlias = Callable[[Event], None]
"""Takes the events of one request, on an engine's thread: hands them over and returns."""
