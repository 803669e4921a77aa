"""Tokenises no more of a text than can fit."""

from models.engine.tokenizer import PIECE_CHARACTERS, Joint, Tokenizer, pieces

# Where a text cannot be cut, so many characters a token are tried before the whole of it:
# few texts have tokens so long.
_TRIED_CHARACTERS = 16


class TooLong(Exception):
    """The text has more tokens than fit: ``tokens`` of them, or more where not ``exact``.

    ``density`` is the characters a token of what was read of it; None where nothing was.
    """

    def __init__(self, tokens: int, *, exact: bool = False, density: float | None = None) -> None:
        super().__init__(tokens)
        self.tokens = tokens
        self.exact = exact
        self.density = density


def bytes_of(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(len(each.encode("utf-8", "replace")) for each in _slices(text))


def fewest_tokens(tokenizer: Tokenizer, size_bytes: int) -> int:
    """Return how many tokens a text of so many bytes has at least."""
    return -(-size_bytes // tokenizer.longest_token_bytes)


def tokens_within(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    """Return a text's tokens.

    Raises:
        TooLong: they are more than ``most``; it is found out as early as it can be.
        ModelCrashed
    """
    left_bytes = bytes_of(text)
    if fewest_tokens(tokenizer, left_bytes) > most:
        raise TooLong(fewest_tokens(tokenizer, left_bytes))
    text = readable(text)
    if len(text) > PIECE_CHARACTERS and not tokenizer.cuts_cleanly:
        _try_beginning(tokenizer, text, most)
        found = [text]
    else:
        found = pieces(text, Joint.SPACE_STAYS)
    tokens: list[int] = []
    read = 0
    for piece in found:
        tokens += tokenizer.encode(piece)
        read += len(piece)
        left_bytes -= bytes_of(piece)
        fewest = len(tokens) + fewest_tokens(tokenizer, left_bytes)
        if fewest > most:
            raise TooLong(fewest, exact=read == len(text), density=read / max(1, len(tokens)))
    return tokens


def all_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Raises ModelCrashed."""
    return tokenizer.encode(readable(text))


def readable(text: str) -> str:
    """Half of a surrogate pair, which JSON and a shell can carry, is no character."""
    if text.isascii():
        return text
    return "".join(each.encode("utf-8", "replace").decode() for each in _slices(text))


def _try_beginning(tokenizer: Tokenizer, text: str, most: int) -> None:
    beginning = text[: most * _TRIED_CHARACTERS]
    if len(beginning) < len(text):
        count = len(tokenizer.encode(beginning)) - 1  # the last may be half of a longer one
        if count > most:
            raise TooLong(count, density=len(beginning) / count)


def _slices(text: str) -> list[str]:
    # Each is short work: other threads get their turn between them.
    return [text[at : at + (1 << 16)] for at in range(0, len(text), 1 << 16)]
