"""How likely tokens were, as OpenAI's completions write it, and what a prompt's tokens say."""

import codecs
from collections.abc import Sequence

from models.events import TokenLogprob
from server.fields import Json
from server.logprobs import NEVER


def said(tokens: Sequence[TokenLogprob]) -> str:
    """Return the text that tokens make."""
    return b"".join(token.piece for token in tokens).decode("utf-8", "replace")


def of_prompt(prompt: str | tuple[int, ...], read: Sequence[TokenLogprob]) -> list[TokenLogprob]:
    """Return those of the tokens read that are the prompt's own: a BOS that was put before a
    text is not."""
    tokens = list(read)
    if isinstance(prompt, tuple) or not tokens:
        return tokens
    spellings = (prompt, f" {prompt}")  # some vocabularies begin every text with a space
    without = said(tokens[1:]) in spellings
    if without and (not tokens[0].piece or said(tokens) not in spellings):
        return tokens[1:]
    return tokens


def logprobs_body(tokens: Sequence[TokenLogprob], start: int, *, first: bool = False) -> Json:
    """Write tokens whose text begins ``start`` characters behind the answer's beginning.

    ``first``: nothing comes before the first of them, so it has no likelihood.
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    offsets: list[int] = []
    for token in tokens:
        offsets.append(start)
        start += len(decode(token.piece))
    logprobs: list[float | None] = [_value(token) for token in tokens]
    top: list[dict[str, float] | None] = [_top(token) for token in tokens]
    if first and tokens:
        logprobs[0] = top[0] = None
    return {
        "tokens": [_spelled(token.piece) for token in tokens],
        "token_logprobs": logprobs,
        "top_logprobs": top,
        "text_offset": offsets,
    }


def _top(token: TokenLogprob) -> dict[str, float]:
    """The likeliest tokens, and the one that came, which may not be among them."""
    return {_spelled(each.piece): _value(each) for each in (*token.top, token)}


def _value(token: TokenLogprob) -> float:
    return max(token.logprob, NEVER)


def _spelled(piece: bytes) -> str:
    """A piece that is half a character is written as OpenAI does: by its bytes."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
