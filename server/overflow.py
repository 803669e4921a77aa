"""What is done with a prompt that is longer than the context, and how that is told."""

from models.chat import Overflow
from models.errors import InvalidRequest
from models.events import Started
from server.fields import Fields

_WORDS = {"auto": Overflow.DROP, "disabled": Overflow.REFUSE}  # OpenAI's, in its Responses


def read_overflow(fields: Fields) -> Overflow:
    """Return what to do: to refuse, unless ``truncation`` or ``truncate`` says otherwise.

    Raises InvalidRequest.
    """
    word = fields.text("truncation")
    if word is not None and word not in _WORDS:
        raise InvalidRequest(
            f"\"truncation\" must be 'auto' or 'disabled', not {word[:40]!r}.", field="truncation"
        )
    if fields.flag("truncate"):
        return Overflow.DROP
    return _WORDS[word] if word else Overflow.REFUSE


def overflow_headers(started: Started | None) -> dict[str, str]:
    """Return what tells that the model has not read all of it; {} where it has."""
    headers: dict[str, str] = {}
    if started and started.dropped_messages:
        headers["X-Inglenook-Dropped-Messages"] = str(started.dropped_messages)
    if started and started.cut:
        headers["X-Inglenook-Cut"] = "1"
    return headers
