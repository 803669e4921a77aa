"""What went wrong, told in HTTP: a status, headers, and a body in the shape of the wire.

There are two wires so far. ``/v1`` is OpenAI's; everything else is Ollama's, whose
clients look for its very sentences (ollama/ollama: server/routes.go).
"""

from http import HTTPStatus

from models.errors import (
    ContextOverflow,
    InferenceError,
    InvalidModelName,
    InvalidRequest,
    ModelNotFound,
    ServerBusy,
)
from server.fields import Json

# A bug of ours has no sentence that a caller could act on.
UNEXPECTED = "The request failed unexpectedly: see Inglenook's log."

_RETRY_AFTER_SECONDS = 2

_CODES: dict[type[InferenceError], str] = {
    ContextOverflow: "context_length_exceeded",
    ServerBusy: "server_overloaded",
}


def headers(error: InferenceError) -> dict[str, str]:
    if error.status_hint == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(_RETRY_AFTER_SECONDS)}
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


def native_body(error: InferenceError) -> Json:
    return {"error": sentence(error)}


def openai_body(error: InferenceError) -> Json:
    field = error.field if isinstance(error, InvalidRequest) else None
    return openai_envelope(
        sentence(error), error.status_hint, param=field, code=_CODES.get(type(error))
    )


def openai_envelope(
    message: str, status: int, *, param: str | None = None, code: str | None = None
) -> Json:
    kind = _openai_type(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def body(error: InferenceError, path: str) -> Json:
    """Return the error as the family at this path says it."""
    return openai_body(error) if is_openai(path) else native_body(error)


def is_openai(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def _openai_type(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "not_found_error"
    callers_fault = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "invalid_request_error" if callers_fault else "api_error"
