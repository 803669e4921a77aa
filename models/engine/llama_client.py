"""HTTP to the child process of one llama.cpp model, and what it says of a refusal."""

import http.client
import json
import socket
from typing import Any, Protocol

from models.errors import InferenceError, InvalidRequest, ModelCrashed

JSON = dict[str, Any]


class Process(Protocol):
    """What is needed of ``LlamaProcess``."""

    @property
    def port(self) -> int: ...

    @property
    def key(self) -> str: ...

    def end_and_explain(self) -> ModelCrashed: ...


class LlamaClient:
    """One connection, for one question: llama.cpp closes a connection that idles."""

    def __init__(self, process: Process, *, timeout_seconds: float | None) -> None:
        self._process = process
        self._http = http.client.HTTPConnection("127.0.0.1", process.port, timeout=timeout_seconds)

    def connect(self) -> None:
        self._http.connect()
        # Small pieces both ways: waiting to fill a packet would only delay them.
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def sock(self) -> socket.socket | None:
        return self._http.sock

    def post(self, path: str, body: JSON) -> http.client.HTTPResponse:
        headers = {
            "Authorization": f"Bearer {self._process.key}",
            "Content-Type": "application/json",
        }
        self._http.request("POST", path, json.dumps(body), headers)
        return self._http.getresponse()

    def close(self) -> None:
        self._http.close()


def refusal(body: JSON) -> InferenceError:
    """What llama.cpp says of a request that it will not run, as an error of ours."""
    error = body.get("error", body)
    message = str(error.get("message", "")).strip() or "no reason given"
    if error.get("code") == http.HTTPStatus.BAD_REQUEST:
        return InvalidRequest(f"The engine refused the request: {message}.")
    return InferenceError(f"The engine could not run the request: {message}.")
