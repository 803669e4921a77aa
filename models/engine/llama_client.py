"""One HTTP connection to the child process of a llama.cpp model."""

import http.client
import json
import socket
from typing import Any

from models.engine.llama_process import LlamaProcess

JSON = dict[str, Any]


class LlamaClient:
    """For one question: llama.cpp closes a connection that idles, so each opens its own."""

    def __init__(self, process: LlamaProcess, *, timeout_seconds: float | None) -> None:
        self._process = process
        self._http = http.client.HTTPConnection("127.0.0.1", process.port, timeout=timeout_seconds)

    def connect(self) -> None:
        self._http.connect()
        # Small pieces both ways: waiting to fill a packet would only delay them.
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def sock(self) -> socket.socket | None:
        return self._http.sock

    def get(self, path: str) -> http.client.HTTPResponse:
        self._http.request("GET", path, headers=self._key)
        return self._http.getresponse()

    def post(self, path: str, body: JSON) -> http.client.HTTPResponse:
        headers = {**self._key, "Content-Type": "application/json"}
        self._http.request("POST", path, json.dumps(body), headers)
        return self._http.getresponse()

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._process.key}"}

    def close(self) -> None:
        self._http.close()
