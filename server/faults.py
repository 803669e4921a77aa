"""What went wrong, told in HTTP: the sentence and the headers, the same on every wire.

Clients look for Ollama's very sentences (ollama/ollama: server/routes.go).
"""

from http import HTTPStatus

from models.abilities import Ability
from models.errors import (
    InferenceError,
    InvalidModelName,
    InvalidRequest,
    ModelNotFound,
    NotAble,
    ServerBusy,
)
from models.names import ModelName

# A bug of ours has no sentence that a caller could act on.
UNEXPECTED = "The request failed unexpectedly: see Inglenook's log."

_RETRY_AFTER_SECONDS = 2

# What Ollama names in its sentence, in the order in which it looks.
_OLLAMAS = (Ability.INSERT, Ability.TOOLS, Ability.VISION)


class NotThere(InvalidRequest):
    """What is asked for by its id is not kept here, or no longer."""

    status_hint = HTTPStatus.NOT_FOUND


class PreviousNotThere(NotThere):
    """The response that one is to go on from is not."""


def headers(error: InferenceError) -> dict[str, str]:
    match error.status_hint:
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return {"Retry-After": str(_RETRY_AFTER_SECONDS)}
        case HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return {"Accept-Encoding": "gzip, zstd"}  # RFC 9110, section 15.5.16
        case _:
            return {}


def sentence(error: InferenceError) -> str:
    """Return Ollama's words where clients look for them, else our own."""
    match error:
        case ModelNotFound(model=model):
            return f"model '{model}' not found"
        case InvalidModelName():
            return "invalid model name"
        case ServerBusy():
            return "server busy, please try again.  maximum pending requests exceeded"
        case _:
            return str(error)


def not_able(error: NotAble, asked: str, deed: str) -> InvalidRequest:
    """Say what a model cannot do as Ollama does, with the name as it was ``asked`` for.

    ``deed`` is what the route as a whole does: chat, generate.
    """
    lacking = set(error.lacking)
    if Ability.COMPLETION in lacking:
        return InvalidRequest(f'"{asked}" does not support {deed}', field="model")
    for ability in _OLLAMAS:
        if ability in lacking:
            said = f"{_registry_name(error.model)} does not support {ability}"
            return InvalidRequest(f"{said}. {error.remedy}" if error.remedy else said)
    if Ability.THINKING in lacking:
        return InvalidRequest(f'"{asked}" does not support thinking')
    return error


def _registry_name(model: str) -> str:
    """Return a name in full, as Ollama's sentences about abilities have it."""
    name = ModelName.parse(model)
    return f"registry.ollama.ai/{name.namespace or 'library'}/{name.model}:{name.tag}"
