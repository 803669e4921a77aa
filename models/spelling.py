"""Texts as tokens and back, and chats as prompts: for whoever wants to see them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from models.chat import GenerateRequest


class Spelled(NamedTuple):
    """One token, and the bytes that it stands for: a character may be cut in two."""

    id: int
    piece: bytes


class Spelling(Protocol):
    """What is known of one model's tokens without loading it. It may take seconds."""

    @property
    def template(self) -> str:
        """The model's chat template; "" where it has none."""
        ...

    def tokens(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[Spelled]:
        """Return the tokens of a text, with what the model wants around it if that is asked for.

        Without ``parse_special`` what looks like a special token is read as the text it is.

        Raises:
            InferenceError
        """
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Return what tokens stand for, special ones as they are written.

        Raises:
            InvalidRequest: there is no such token.
            InferenceError
        """
        ...

    def prompt(self, request: GenerateRequest, *, ask: bool = True) -> str:
        """Return the text that the model would read; without ``ask`` the messages alone.

        Raises:
            InferenceError
        """
        ...
