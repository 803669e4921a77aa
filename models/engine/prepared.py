"""Prompt: what goes into a model. Apart from what makes it, which takes long to import."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.engine.grammar import CompiledGrammar
from models.engine.thought_budget import ThoughtBudget
from models.errors import InvalidRequest
from models.images import Picture
from models.model_family import UNMARKED, ModelFamily

# llama.cpp rounds a context up to this many tokens (src/llama-context.cpp), and Ollama
# with it: a smaller ``num_ctx`` cuts the prompt, and not the answer.
CONTEXT_STEP = 256
# No vocabulary has so many: from here on a number stands where a picture is.
FIRST_PLACE = 1 << 31


@dataclass(frozen=True, slots=True)
class Whole:
    """A prompt as its tokens. Where there are pictures, also the texts round them."""

    tokens: list[int]
    pictures: tuple[Picture, ...] = ()
    pieces: tuple[str, ...] = ()  # one more than pictures, where there are any


@dataclass(frozen=True, slots=True)
class Prompt:
    tokens: tuple[int, ...]
    max_tokens: int  # that may follow, > 0
    dropped_messages: int = 0  # the oldest, for want of room
    checkpoints: tuple[int, ...] = ()  # see ``Work``
    grammar: CompiledGrammar | None = None
    cut: bool = False  # the middle of what alone was too long is missing
    family: ModelFamily = UNMARKED  # how what follows is marked
    in_thought: bool = False  # it ends where the model is to go on thinking
    pictures: tuple[Picture, ...] = ()  # in the order of their places
    pieces: tuple[str, ...] = ()  # the texts round them, one more; empty where there are none
    thought: ThoughtBudget | None = None  # see ``Work``


def rounded_up(context: int) -> int:
    """Return a context as llama.cpp would have it: of whole steps, in tokens."""
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP


def has_places(tokens: Sequence[int]) -> bool:
    """Whether there are pictures among them."""
    return max(tokens, default=0) >= FIRST_PLACE


def refuse_unknown(tokens: Sequence[int], vocabulary_size: int) -> None:
    """Raise InvalidRequest where ``tokens`` are not all in the vocabulary.

    Neither library tells: MLX would read whatever lies there, and llama.cpp takes 2^40 for 0.
    """
    if min(tokens) < 0 or max(tokens) >= vocabulary_size:
        raise InvalidRequest(
            "The prompt has token numbers that this model does not know: "
            "they may come from another model's context."
        )
