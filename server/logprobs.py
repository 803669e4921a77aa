"""How likely tokens were, as OpenAI and Ollama write it."""

from models.events import TokenLogprob
from server.fields import Json


def token_body(token: TokenLogprob) -> Json:
    """One token; a piece that is half a character is known by its bytes."""
    return {
        "token": token.piece.decode("utf-8", "replace"),
        "logprob": token.logprob,
        "bytes": list(token.piece),
    }
