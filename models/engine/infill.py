"""The prompt that has a model fill in the middle, cut to fit."""

from models.chat import GenerateRequest, Overflow
from models.engine.counted import LONG_CHARACTERS, TooLong, readable, tokens_within
from models.engine.tokenizer import Tokenizer
from models.fill_in import FillIn

# Of a prompt that is cut: for what stands behind the gap. llama.cpp's share (/infill).
_BEHIND = 4


def infill_tokens(
    request: GenerateRequest, fill_in: FillIn, tokenizer: Tokenizer, room: int
) -> list[int]:
    """Return the prompt for what belongs between the request's prompt and its suffix.

    Where it is too long and may be cut, the half that is left ends and begins at the gap.

    Raises:
        TooLong: it does not fit into ``room`` tokens, and is not to be cut.
        ModelCrashed
    """
    room -= fill_in.count
    before, after = _before(request), request.suffix
    try:
        ahead = tokens_within(tokenizer, before, room)
        behind = tokens_within(tokenizer, after, room)
        if len(ahead) + len(behind) > room:
            raise TooLong(len(ahead) + len(behind))
    except TooLong as error:
        if request.overflow is not Overflow.TRUNCATE or room < 1:
            raise TooLong(error.tokens + fill_in.count) from None
        most = -(-room // 2)  # the other half is the answer's
        ahead = _last(tokenizer, before, most)
        behind = _first(tokenizer, after, max(most // _BEHIND, most - len(ahead)))
        ahead = ahead[max(0, len(ahead) + len(behind) - most) :]
    return fill_in.around(ahead, behind)


def _before(request: GenerateRequest) -> str:
    """Of messages, the last: it is what Ollama's ``prompt`` has become."""
    if isinstance(request.prompt, str):
        return request.prompt
    return request.prompt[-1].text if request.prompt else ""


def _last(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    start = max(0, len(text) - most * LONG_CHARACTERS)
    tokens = tokenizer.encode(readable(text[start:]))
    return tokens[max(0, len(tokens) - most) :]


def _first(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    return tokenizer.encode(readable(text[: most * LONG_CHARACTERS]))[:most]
