"""Finds a tag that a model spells in other tokens than its own, while they are drawn."""

from collections.abc import Callable, Sequence


class TagWatch:
    """``token`` is the tag's own, which others look for."""

    def __init__(self, tag: str, token: int, piece: Callable[[int], bytes]) -> None:
        self._tag = tag.encode()
        self._token = token
        self._piece = piece
        self._text = b""  # so much of the end as the tag may have begun in, or all from the tag on

    def saw(self, token: int) -> None:
        """Be told of each token, in their order."""
        self._text += b"" if token == self._token else self._piece(token)
        if not self._tag or self._tag in self._text:
            return
        kept = min(len(self._tag) - 1, len(self._text))
        while kept and not self._tag.startswith(self._text[-kept:]):
            kept -= 1
        self._text = self._text[len(self._text) - kept :]

    @property
    def has_begun(self) -> bool:
        """Whether what was seen ends in a piece of the tag, or has it: the next token matters."""
        return bool(self._tag and self._text)

    def behind(self, newest: Sequence[int]) -> bytes | None:
        """Return what stands behind the tag, with tokens that nobody was told of; None: no tag."""
        if self._token in newest:
            return None
        text = self._text + b"".join(map(self._piece, newest))
        _, found, rest = text.partition(self._tag)
        return rest if found else None
