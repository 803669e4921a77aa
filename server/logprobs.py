"""How likely tokens were, as OpenAI and Ollama write it."""

from models.events import TokenLogprob
from server.fields import Json

# JSON has no infinity; OpenAI says this of a token that is not among the likeliest.
NEVER = -9999.0


def token_body(token: TokenLogprob) -> Json:
    """One token; a piece that is half a character is known by its bytes."""
    return {
        "token": token.piece.decode("utf-8", "replace"),
        "logprob": max(token.logprob, NEVER),
        "bytes": list(token.piece),
    }
