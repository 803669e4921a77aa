"""The prompt that has a model fill in the middle, cut to fit."""

from collections.abc import Sequence
from itertools import chain

from models.chat import GenerateRequest, Overflow, Snippet
from models.engine.counted import LONG_CHARACTERS, TooLong, readable, tokens_within
from models.engine.tokenizer import Tokenizer
from models.fill_in import FillIn

# Of a prompt that is cut: for what stands behind the gap. llama.cpp's share (/infill).
_BEHIND = 4
# Nobody says what they are called: its words too.
_REPOSITORY = "myproject"
_FILENAME = "filename"
_SNIPPETS_NAME = "tmp"
# Where a model has no token for it.
_HEADING = "\n\n--- snippet ---\n\n"


def infill_tokens(
    request: GenerateRequest, fill_in: FillIn, tokenizer: Tokenizer, room: int
) -> list[int]:
    """Return the prompt for what belongs between the request's prompt and its suffix.

    Where it is too long and may be cut, the half that is left ends and begins at the gap. Snippets
    have what room that leaves them: half of all is the answer's, or as much as it may have.

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
    answer = min(request.max_tokens or room, room // 2)
    left = room - len(ahead) - len(behind) - answer
    beside = _beside(request.snippets, fill_in, tokenizer, left)
    return beside + fill_in.around(ahead, behind)


def _beside(
    snippets: Sequence[Snippet], fill_in: FillIn, tokenizer: Tokenizer, room: int
) -> list[int]:
    """Return the files beside the one with the gap, as llama.cpp's server puts them (/infill).

    The last lie nearest to the gap: where not all fit, these are kept.
    """

    def heading(filename: str) -> list[int]:
        if fill_in.file is None:
            return tokenizer.encode(_HEADING)
        return [fill_in.file, *tokenizer.encode(readable(f"{filename}\n"))]

    begin: list[int] = []
    if fill_in.repository is not None:
        begin = [fill_in.repository, *tokenizer.encode(f"{_REPOSITORY}\n")]
    end = [] if fill_in.file is None else heading(_FILENAME)
    room -= len(begin) + len(end)
    kept: list[list[int]] = []
    for each in reversed(snippets):
        name = heading(each.filename or _SNIPPETS_NAME)
        room -= len(name)
        if room <= 0:
            break
        text = _last(tokenizer, each.text, room)
        room -= len(text)
        kept.append(name + text)
    return [*begin, *chain.from_iterable(reversed(kept)), *end] if kept else []


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
