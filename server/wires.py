"""How each API speaks HTTP: content types, frames and errors, found by the path that is asked.

A wire is one row of the table at the end; a family's routes name it too.
"""

import uuid
from collections.abc import Callable, Container
from contextvars import ContextVar
from dataclasses import dataclass, replace
from http import HTTPStatus

from models.errors import ContextOverflow, InferenceError, InvalidRequest, ServerBusy
from server import framing
from server.faults import PreviousNotThere, sentence
from server.fields import Json
from server.framing import Chunk
from server.keys import KeyRefused

_CODES: dict[type[InferenceError], str] = {
    ContextOverflow: "context_length_exceeded",
    KeyRefused: "invalid_api_key",
    PreviousNotThere: "previous_response_not_found",
    ServerBusy: "server_overloaded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What all answers of one API have in common.

    ``unknown_path`` takes a status, what is said of it ("page not found"), a method and a
    path, and returns a body and its content type.
    """

    name: str
    content_type: str
    stream_type: str
    error_body: Callable[[InferenceError], Json]
    unknown_path: Callable[[int, str, str, str], tuple[bytes, str]]
    frame: Callable[[Chunk], bytes]
    last_frame: bytes = b""
    # Sent while nothing comes; empty: the wire has no word for it. An answer may have one
    # (``Asked.ping``).
    ping: bytes = b""
    ping_seconds: float = 10.0  # without a frame
    most_body_bytes: int = 256 << 20  # of a request, made plain: a dozen photographs in base64


# -- OpenAI ------------------------------------------------------------------------


def _openai_body(error: InferenceError) -> Json:
    field = error.field if isinstance(error, InvalidRequest) else None
    return _openai_envelope(
        sentence(error), error.status_hint, param=field, code=_CODES.get(type(error))
    )


def _openai_envelope(
    message: str, status: int, *, param: str | None = None, code: str | None = None
) -> Json:
    kind = _openai_type(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _openai_type(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "not_found_error"
    callers_fault = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "invalid_request_error" if callers_fault else "api_error"


def _openai_unknown(status: int, said: str, method: str, path: str) -> tuple[bytes, str]:
    envelope = _openai_envelope(f"{said}: {method} {path}", status)
    return framing.to_json(envelope), framing.JSON


# -- Ollama ------------------------------------------------------------------------


def _ollama_body(error: InferenceError) -> Json:
    return {"error": sentence(error)}


def _ollama_unknown(status: int, said: str, method: str, path: str) -> tuple[bytes, str]:
    return f"{status} {said}".encode(), "text/plain"


# -- Anthropic ---------------------------------------------------------------------

_ANTHROPIC_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.METHOD_NOT_ALLOWED: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    529: "overloaded_error",  # Anthropic's own number for it
}
_request_id: ContextVar[str] = ContextVar("request_id")


def request_id() -> str:
    """Return the id of the request that is answered in this task: always the same."""
    id = _request_id.get("")
    if not id:
        id = f"req_{uuid.uuid4().hex[:24]}"
        _request_id.set(id)
    return id


def _anthropic_body(error: InferenceError) -> Json:
    said = sentence(error)
    if isinstance(error, ContextOverflow):
        # Agents look for these words, and shorten what they have said.
        said = f"prompt is too long: {error.prompt_tokens} tokens > {error.context_length} maximum"
    return _anthropic_envelope(said, error.status_hint)


def _anthropic_envelope(message: str, status: int) -> Json:
    callers_fault = status < HTTPStatus.INTERNAL_SERVER_ERROR
    other = "invalid_request_error" if callers_fault else "api_error"
    kind = _ANTHROPIC_TYPES.get(status, other)
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": request_id(),
    }


def _anthropic_unknown(status: int, said: str, method: str, path: str) -> tuple[bytes, str]:
    envelope = _anthropic_envelope(f"{said}: {method} {path}", status)
    return framing.to_json(envelope), framing.JSON


# -- llama.cpp's server ------------------------------------------------------------

_LLAMA_TYPES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.NOT_IMPLEMENTED: "not_supported_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable_error",
}


def _llama_body(error: InferenceError) -> Json:
    envelope = _llama_envelope(sentence(error), error.status_hint)
    if isinstance(error, ContextOverflow):
        envelope["error"] |= {
            "type": "exceed_context_size_error",
            "n_prompt_tokens": error.prompt_tokens,
            "n_ctx": error.context_length,
        }
    return envelope


def _llama_envelope(message: str, status: int) -> Json:
    callers_fault = status < HTTPStatus.INTERNAL_SERVER_ERROR
    other = "invalid_request_error" if callers_fault else "server_error"
    kind = _LLAMA_TYPES.get(status, other)
    return {"error": {"code": status, "message": message, "type": kind}}


def _llama_unknown(status: int, said: str, method: str, path: str) -> tuple[bytes, str]:
    return framing.to_json(_llama_envelope(f"{said}: {method} {path}", status)), framing.JSON


# -- All of them -------------------------------------------------------------------

OPENAI = Wire(
    name="openai",
    content_type=framing.JSON,
    stream_type=framing.EVENT_STREAM,
    error_body=_openai_body,
    unknown_path=_openai_unknown,
    frame=framing.data,
    ping=b": ping\n\n",  # a comment, which the standard has clients pass over
)
OPENAI_CHAT = replace(OPENAI, name="openai-chat", last_frame=b"data: [DONE]\n\n")
OPENAI_RESPONSES = replace(OPENAI, name="openai-responses", frame=framing.event)
OLLAMA = Wire(
    name="ollama",
    content_type=framing.NATIVE_JSON,
    stream_type=framing.NDJSON,
    error_body=_ollama_body,
    unknown_path=_ollama_unknown,
    frame=framing.line,
)
ANTHROPIC = Wire(
    name="anthropic",
    content_type=framing.JSON,
    stream_type=framing.EVENT_STREAM,
    error_body=_anthropic_body,
    unknown_path=_anthropic_unknown,
    frame=framing.event,
    ping=framing.event({"type": "ping"}),
    most_body_bytes=32 << 20,  # https://docs.claude.com/en/api/errors#request-size-limits
)

LLAMA_SERVER = Wire(
    name="llama-server",
    content_type=framing.JSON,
    stream_type=framing.EVENT_STREAM,
    error_body=_llama_body,
    unknown_path=_llama_unknown,
    frame=framing.data,
    ping=b":\n\n",
)
_LLAMA_PATHS = (
    "/apply-template",
    "/detokenize",
    "/infill",
    "/models",
    "/props",
    "/rerank",
    "/reranking",
    "/tokenize",
    "/v1/rerank",
    "/v1/reranking",
)

# By the path they begin with, the longest first.
WIRES: tuple[tuple[str, Wire], ...] = (
    *((path, LLAMA_SERVER) for path in _LLAMA_PATHS),
    ("/v1/messages", ANTHROPIC),
    ("/v1/responses", OPENAI_RESPONSES),
    ("/v1", OPENAI),
    ("/", OLLAMA),
)
# Two APIs have these: who sends this header means the one that wants it with every request.
ANTHROPIC_VERSION = "anthropic-version"
_ANTHROPICS_TOO = "/v1/models"


def wire_at(path: str, headers: Container[str] = ()) -> Wire:
    """Return the wire that a path belongs to, whether or not there is a route for it.

    ``headers`` are those of the request, by their names.
    """
    if _is_at(path, _ANTHROPICS_TOO) and ANTHROPIC_VERSION in headers:
        return ANTHROPIC
    return next(wire for prefix, wire in WIRES if _is_at(path, prefix))


def _is_at(path: str, prefix: str) -> bool:
    return f"{path}/".startswith(f"{prefix.rstrip('/')}/")
