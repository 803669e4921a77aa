"""The seam to a model's own tokenizer."""

from typing import Protocol


class Tokenizer(Protocol):
    """Any thread may call it; it gives up the GIL while it works."""

    def encode(self, text: str) -> list[int]:
        """Raises ModelCrashed."""
        ...
