"""Tokenises no more of a text than can fit."""

from models.engine.tokenizer import PIECE_CHARACTERS, Joint, Tokenizer, pieces

# A token. Few texts have so long ones: one that would need them is tried in part first.
LONG_CHARACTERS = 16


class TooLong(Exception):
    """The text has more tokens than fit: ``tokens`` of them, or more where not ``exact``.

    ``likely`` is how many it may have, judged by what was read of it; None: nothing was.
    """

    def __init__(self, tokens: int, *, exact: bool = False, likely: float | None = None) -> None:
        super().__init__(tokens)
        self.tokens = tokens
        self.exact = exact
        self.likely = likely


def refuse_by_size(tokenizer: Tokenizer, size_bytes: int, most: int) -> None:
    """Raise TooLong where a text of so many bytes cannot have as few tokens as ``most``.

    A short one is let pass: to count it takes no time, and who asked gets the exact number.
    """
    fewest = _fewest(tokenizer, size_bytes)
    if fewest > most and size_bytes > PIECE_CHARACTERS:
        raise TooLong(fewest)


def tokens_within(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    """Return a text's tokens.

    Raises:
        TooLong: they are more than ``most``; it is found out as early as it can be.
        ModelCrashed
    """
    refuse_by_size(tokenizer, len(text), most)  # a character has at least a byte
    left_bytes = _bytes_of(text)
    refuse_by_size(tokenizer, left_bytes, most)
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
        left_bytes -= _bytes_of(piece)
        fewest = len(tokens) + _fewest(tokenizer, left_bytes)
        if fewest > most:
            likely = len(tokens) * len(text) / read if read else None
            raise TooLong(fewest, exact=read == len(text), likely=likely)
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
    beginning = text[: most * LONG_CHARACTERS]
    if len(beginning) < len(text):
        count = len(tokenizer.encode(beginning)) - 1  # the last may be half of a longer one
        if count > most:
            raise TooLong(count, likely=count * len(text) / len(beginning))


def _fewest(tokenizer: Tokenizer, size_bytes: int) -> int:
    return -(-size_bytes // tokenizer.longest_token_bytes)


def _bytes_of(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(len(each.encode("utf-8", "replace")) for each in _slices(text))


def _slices(text: str) -> list[str]:
    # Each is short work: other threads get their turn between them.
    return [text[at : at + (1 << 16)] for at in range(0, len(text), 1 << 16)]
