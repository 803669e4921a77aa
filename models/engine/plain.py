"""A plain prompt that is to lose its middle: no more of it is read than what is kept."""

from collections.abc import Callable

from models.engine.counted import all_tokens
from models.engine.history import room_for_cut
from models.engine.tokenizer import Tokenizer

_LIKELY_CHARACTERS = 8  # a token: a text that is no longer is tokenised as a whole


def is_short(text: str, room: int) -> bool:
    """Whether it is sooner read as a whole than in parts."""
    return len(text) <= room * _LIKELY_CHARACTERS


def ends_of(
    tokenizer: Tokenizer, text: str, room: int, begun: Callable[[list[int]], list[int]]
) -> list[int]:
    """Return what ``without_middle`` keeps of a text's tokens, reading little more than that.

    ``begun`` puts in front what the model wants there. Raises ModelCrashed.
    """
    head, tail = room_for_cut(room)
    longest = min(tokenizer.longest_token_bytes, 256)
    begin = begun(all_tokens(tokenizer, text[: (head + 2) * longest]))
    width = tail * 4
    while True:
        end = all_tokens(tokenizer, text[-width:]) if tail else []
        # The first of them may be half of a longer one.
        if len(end) > tail or width >= len(text):
            return begin[:head] + end[len(end) - tail :]
        width *= 2
