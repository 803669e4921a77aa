"""How likely llama.cpp finds a prompt's own tokens: it has them written, one after another.

Its server has no word for it. What it writes, it tells the log-probability of; so a grammar
has it write the prompt. See docs/decisions/logprobs.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from models.engine.llama_answer import Ask, logprob_of, token_logprob
from models.engine.llama_client import JSON
from models.engine.llama_request import Asked
from models.errors import InferenceError
from models.events import TokenLogprob

_CHUNK_TOKENS = 256  # in one request: a grammar is not long, and others have their turn
_TOLD_TOKENS = 32  # between two words on how far it is

Stream = Callable[[JSON], Iterator[JSON]]
"""Has a request answered, chunk by chunk."""


class PromptReader:
    """Reads the prompt of one sequence; ``logprobs`` are there when ``read`` has ended."""

    def __init__(self, asked: Asked, stream: Stream, ask: Ask) -> None:
        self._tokens = asked.work.tokens
        self._most = asked.work.top_logprobs or 0
        self._requests = asked.requests
        self._stream = stream
        self._ask = ask
        self._found: dict[int, TokenLogprob] = {}  # by their places

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        return tuple(self._found[place] for place in range(len(self._tokens)))

    def read(self) -> Iterator[int]:
        """Say now and then how many tokens are read. Raises InferenceError."""
        self._find_first()
        start = 1
        while start < len(self._tokens):
            end = start
            for end, entries in self._written(start):
                for entry in entries:
                    self._found[end - 1] = token_logprob(entry, self._most)
                if end % _TOLD_TOKENS == 0:
                    yield end
            start = end
        self._fill_gaps()

    def _find_first(self) -> None:
        """Nothing comes before it that it could be likely after; its bytes are wanted."""
        first = self._tokens[0]
        piece = self._requests.fragments.piece(first) or b""
        for _, entries in self._written(0):
            for entry in entries:
                piece = bytes(entry["bytes"])
        self._found[0] = TokenLogprob(first, piece, 0.0)

    def _written(self, start: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Have tokens from ``start`` on written; say how far it is, and what is told of the last.

        Raises:
            InferenceError
        """
        before, tokens = self._tokens[:start], self._tokens[start : start + _CHUNK_TOKENS]
        if not before:
            before, tokens = tokens[:1], tokens[:1]
        written = 0
        for chunk in self._stream(self._requests.forced(before, tokens, self._most)):
            if chunk["tokens_predicted"] == written:
                continue  # it reads, or has ended
            written = chunk["tokens_predicted"]
            entries: list[JSON] = chunk.get("completion_probabilities") or []
            if [each["id"] for each in entries] not in ([], [tokens[written - 1]]):
                raise InferenceError("The prompt's log-probabilities could not be read.")
            yield start + written, entries
        if not written:
            raise InferenceError("The prompt's log-probabilities could not be read.")

    def _fill_gaps(self) -> None:
        """Ask for those that are hidden inside a character."""
        hidden = set(range(len(self._tokens))) - set(self._found)
        # The last first: so all that comes before each is still in the KV cache, as written.
        for place in sorted(hidden, reverse=True):
            before, token = self._tokens[:place], self._tokens[place]
            self._found[place] = logprob_of(self._requests, self._ask, before, token, self._most)
        told = 0  # bytes of a character: its last token comes with all of them
        for place in range(len(self._tokens)):
            if place in hidden:
                told += len(self._found[place].piece)
            elif told:
                last = self._found[place]
                self._found[place] = replace(last, piece=last.piece[told:])
                told = 0
