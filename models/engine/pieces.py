"""What each token adds to the text, as bytes, by a Hugging Face tokenizer.

A token may hold a part of a character, so its text cannot be told before the next
ones; its bytes can. ``decoder.py`` makes them text again.
"""

import json
import re
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeAlias

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_REPLACEMENT = "\ufffd"  # what half a character decodes to


class AddedToken(Protocol):
    content: str
    special: bool


class Decoder(Protocol):
    """tokenizers.decoders.Decoder: how a vocabulary's spelling becomes text."""

    def __getstate__(self) -> bytes:
        """Return it as JSON, the way tokenizer.json has it."""
        ...


class FastTokenizer(Protocol):
    """tokenizers.Tokenizer."""

    decoder: Decoder | None

    def get_added_tokens_decoder(self) -> dict[int, AddedToken]: ...

    def id_to_token(self, id: int) -> str | None: ...


class Tokenizer(Protocol):
    """What is used here of a transformers tokenizer; the fast ones have ``backend_tokenizer``."""

    all_special_ids: list[int]

    def __len__(self) -> int: ...

    def decode(
        self,
        token_ids: list[int],
        *,
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
    ) -> str: ...


class Pieces(Protocol):
    """The bytes of one sequence, token by token."""

    def piece(self, token: int) -> bytes: ...

    def rest(self) -> bytes:
        """Return what was kept back; the sequence has ended."""
        ...


Spelling: TypeAlias = Callable[[str], bytes]
"""A token as the vocabulary writes it, to the bytes it stands for."""


def pieces_of(tokenizer: Tokenizer, shown: Collection[str] = ()) -> Callable[[], Pieces]:
    """Return what makes the ``Pieces`` of a new sequence.

    Special tokens are no text, but for those that are ``shown``.
    """
    fast: FastTokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    if (
        fast is not None
        and fast.decoder is not None
        and (spelling := spelling_of(fast.decoder.__getstate__()))
    ):
        table = SpelledOut(fast, spelling, tokenizer.all_special_ids, shown)
        return lambda: table
    return lambda: Redecoded(tokenizer)


class SpelledOut:
    """Pieces of a vocabulary whose tokens stand for the same bytes everywhere.

    Nothing is taken off the front of a text, as tokenizers of the SentencePiece kind do
    with a space: a completion goes on from a prompt, and there the space is meant.
    """

    def __init__(
        self,
        fast: FastTokenizer,
        spelling: Spelling,
        special: list[int],
        shown: Collection[str] = (),
    ) -> None:
        self._fast = fast
        self._spelling = spelling
        self._known = dict.fromkeys(special, b"")
        for token, added in fast.get_added_tokens_decoder().items():
            if added.content in shown:
                self._known[token] = added.content.encode()
            elif token not in self._known:
                self._known[token] = b"" if added.special else added.content.encode()

    def piece(self, token: int) -> bytes:
        if token not in self._known:
            # None: a row that pads the embedding to a round number.
            written = self._fast.id_to_token(token) or ""
            self._known[token] = self._spelling(written)
        return self._known[token]

    def rest(self) -> bytes:
        return b""


class Redecoded:
    """Pieces of any other vocabulary: what the text grew by when the token joined.

    The last few tokens are decoded with it, since how a token reads may depend on
    those before.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._said = 0  # tokens whose text has been given out

    def piece(self, token: int) -> bytes:
        self._tokens.append(token)
        grown = self._growth()
        if not grown or grown.endswith(_REPLACEMENT):
            return b""
        # What was said last stays as the context of the next.
        self._tokens = self._tokens[self._said :]
        self._said = len(self._tokens)
        return grown.encode()

    def rest(self) -> bytes:
        grown = self._growth()
        self._said = len(self._tokens)
        return grown.encode()

    def _growth(self) -> str:
        return self._decode(self._tokens)[len(self._decode(self._tokens[: self._said])) :]

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def spelling_of(decoder: bytes | str) -> Spelling | None:
    """Return how a decoder reads, which tokenizer.json has as this JSON; None: not known here."""
    whole: dict[str, Any] = json.loads(decoder)
    steps: list[dict[str, Any]] = whole.get("decoders", [whole])
    if any(step["type"] == "ByteLevel" for step in steps):
        return spell_byte_level
    spaces: list[str] = []  # what stands for a space
    has_byte_tokens = False
    for step in steps:
        match step:
            case {"type": "Metaspace", "replacement": str(mark)}:
                spaces.append(mark)
            case {"type": "Replace", "pattern": {"String": str(mark)}, "content": " "}:
                spaces.append(mark)
            case {"type": "ByteFallback"}:
                has_byte_tokens = True
            case {"type": "Fuse" | "Strip"}:
                pass
            case _:
                return None

    def spell(written: str) -> bytes:
        if has_byte_tokens and (found := _BYTE_TOKEN.fullmatch(written)):
            return bytes.fromhex(found[1])
        for mark in spaces:
            written = written.replace(mark, " ")
        return written.encode()

    return spell


def spell_byte_level(written: str) -> bytes:
    try:
        return bytes(_BYTES[character] for character in written)
    except KeyError:
        return written.encode()


def _byte_level_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte (GPT-2's encoder.py)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(0x100 + place): byte for place, byte in enumerate(hidden)
    }


_BYTES = _byte_level_alphabet()
