"""The tokens of a vocabulary that are no whole text, but parts of characters.

llama.cpp streams a character that several tokens make with the id of the last alone. The
others can hardly be but one: its bytes are known, and how many tokens made them.
"""

import re
from collections.abc import Iterator, Sequence

from models.engine.pieces import spell_byte_level

_BYTE_TOKEN = re.compile(rb"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u0120".encode()  # a space as byte-level vocabularies spell it


class Fragments:
    """``tokens`` is the vocabulary as its file spells it, ``model`` what kind it is of."""

    def __init__(self, tokens: Sequence[bytes], model: str) -> None:
        spelled = _byte_level(tokens) if model == "gpt2" else _with_byte_tokens(tokens)
        self._bytes = dict(spelled)
        self._ids = {raw: token for token, raw in self._bytes.items()}
        self._longest = max(map(len, self._ids), default=0)

    def piece(self, token: int) -> bytes | None:
        """Return the bytes of a token that is no whole text; None: it is one."""
        return self._bytes.get(token)

    def ids(self, text: bytes, last: int, count: int) -> tuple[int, ...] | None:
        """Return the ``count`` tokens that made ``text``, of which ``last`` is the last.

        Where there are several ways to make it, the one with the longer tokens first, as
        tokenizers have it. None: there is none.
        """
        if count == 1:
            known = self._bytes.get(last)
            fits = _is_whole(text) if known is None else text == known
            return (last,) if fits else None
        for length in range(min(self._longest, len(text)), 0, -1):
            token = self._ids.get(text[:length])
            if token is None:
                continue
            rest = self.ids(text[length:], last, count - 1)
            if rest:
                return (token, *rest)
        return None


def _byte_level(tokens: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    for token, written in enumerate(tokens):
        if written.replace(_SPACE, b"").isascii():
            continue  # most are
        raw = spell_byte_level(written.decode(errors="replace"))
        if not _is_whole(raw):
            yield token, raw


def _with_byte_tokens(tokens: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    for token, written in enumerate(tokens):
        if found := _BYTE_TOKEN.fullmatch(written):
            raw = bytes.fromhex(found[1].decode())
            if not raw.isascii():
                yield token, raw


def _is_whole(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
