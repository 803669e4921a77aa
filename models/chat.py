"""What is asked of a model, in the one form the whole program shares.

Every API family and the chat window build these values; every engine reads
them. They are frozen, comparable, and know nothing of HTTP, Qt or the GPU.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is drawn from the logits.

    ``None`` leaves the choice to the model's own ``generation_config.json``, and
    where it has none, to ``models.engine.sampling.DEFAULTS``. The engine resolves
    it in one place, so no API family invents defaults.
    """

    temperature: float | None = None  # 0.0 is greedy
    top_p: float | None = None  # keep the smallest set with this much probability
    top_k: int | None = None  # keep this many tokens; 0 keeps all
    min_p: float | None = None  # drop tokens less likely than this share of the best
    typical_p: float | None = None  # llama.cpp only
    seed: int | None = None  # None: a new one each time
    repeat_penalty: float | None = None  # 1.0 is none
    repeat_last_n: int | None = None  # tokens that the three penalties look back on
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class Overflow(StrEnum):
    """What to do with a prompt that is longer than the context."""

    REFUSE = "refuse"  # ContextOverflow
    TRUNCATE = "truncate"  # drop the oldest messages, or the middle of a plain prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One generation: a prompt in, a stream of events out.

    A tuple of messages goes through the model's chat template; where the last one
    is the assistant's, its text is continued. A plain string is tokenised as it
    stands.
    """

    model: str
    prompt: tuple[Message, ...] | str
    preceding_tokens: tuple[int, ...] = ()  # put before the prompt: Ollama's ``context``
    sampling: SamplingParams = SamplingParams()
    max_tokens: int | None = None  # None: until end of turn or full context
    stop: tuple[str, ...] = ()
    context_length: int | None = None  # tokens; None: what the model was loaded with
    overflow: Overflow = Overflow.REFUSE
    keep_alive_seconds: float | None = None  # None: the default; 0: unload; inf: keep


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Load a model and generate nothing: ``Finished(LOADED)`` when it is ready."""

    model: str
    context_length: int | None = None
    keep_alive_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadRequest:
    """Free a model: ``Finished(UNLOADED)`` at once, or when its last generation ends."""

    model: str


Request: TypeAlias = GenerateRequest | LoadRequest | UnloadRequest
