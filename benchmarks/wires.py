"""One question to any wire of a server, and its answer: whole, or gathered from a stream."""

import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from benchmarks import wire_words as words
from benchmarks.measure import JSON
from benchmarks.wire_words import Answer, Question

_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Wire:
    name: str
    path: str
    body: Callable[[Question], JSON]
    whole: Callable[[JSON, Answer], None]
    piece: Callable[[JSON, Answer], None]  # of a stream

    def ask(self, port: int, model: str, question: Question, *, stream: bool = False) -> Answer:
        """Return the answer, or in it the status and the words of a refusal."""
        body = {"model": model, "stream": stream, **self.body(question)}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)) as connection:
            connection.request("POST", self.path, json.dumps(body))
            response = connection.getresponse()
            answer = Answer(response.status)
            if response.status != http.HTTPStatus.OK:
                answer.error = _error(json.loads(response.read()))
            elif stream:
                for piece in _pieces(response):
                    self.piece(piece, answer)
            else:
                self.whole(json.loads(response.read()), answer)
        return answer


def _error(said: JSON) -> str:
    error: Any = said["error"]
    return error if isinstance(error, str) else error["message"]


def _pieces(lines: Iterable[bytes]) -> Iterator[JSON]:
    for line in lines:
        text = line.decode().strip().removeprefix("data:").strip()
        if text.startswith("{"):
            yield json.loads(text)


WIRES = (
    Wire("chat", "/v1/chat/completions", words.chat, words.chat_whole, words.chat_piece),
    Wire(
        "responses", "/v1/responses", words.responses, words.responses_whole, words.responses_piece
    ),
    Wire(
        "anthropic", "/v1/messages", words.anthropic, words.anthropic_whole, words.anthropic_piece
    ),
    Wire("ollama", "/api/chat", words.ollama, words.ollama_piece, words.ollama_piece),
)
