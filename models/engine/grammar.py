"""What an answer must look like, as one Lark text that both engines obey."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar that has been checked: of the whole output, or from a trigger on."""

    lark: str  # as llguidance reads it, with special tokens by their ids
    trigger: int | None = None  # the token behind which it begins; before that all is free
