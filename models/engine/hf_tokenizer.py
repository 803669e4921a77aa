"""A tokenizer of the Hugging Face kind, as MLX models have it."""

from typing import Protocol


class Encoder(Protocol):
    """What is used here of a transformers tokenizer."""

    bos_token: str | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class HfTokenizer:
    def __init__(self, tokenizer: Encoder) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        bos = self._tokenizer.bos_token or ""
        has_bos = bool(bos) and text.startswith(bos)
        return self._tokenizer.encode(text, add_special_tokens=not has_bos)
