"""What llama.cpp says of one sequence, chunk by chunk, as outputs of ours.

It hides much of a character that several tokens make: it says the whole character, the id
of the last token and that one's log-probability. The ids are found again by their bytes,
and the log-probabilities are asked for: see docs/decisions/logprobs.md.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from models.engine.backend import Decoded, Output, Prefilled, Prefilling
from models.engine.llama_client import JSON
from models.engine.llama_request import HEAD_START, Asked, LlamaRequests
from models.events import FinishReason, TokenLogprob

FINISH_REASONS = {
    "eos": FinishReason.END_OF_TURN,
    "limit": FinishReason.MAX_TOKENS,
}
_LIKELY = 64  # tokens; where the wanted one is not among so many, it is asked for by itself
# Of a probability that llama.cpp's numbers cannot hold; OpenAI's API says the same.
_LEAST = -9999.0

Ask = Callable[[JSON], JSON]
"""Has one more request answered, whole."""


class LlamaAnswer:
    """Feed it the chunks of one completion.

    ``read`` are the log-probabilities of the prompt where they have been read before.
    """

    def __init__(
        self, ticket: int, asked: Asked, ask: Ask, read: tuple[TokenLogprob, ...] = ()
    ) -> None:
        self._ticket = ticket
        self._asked = asked
        self._ask = ask
        self._read = read
        self._count = 0  # tokens decoded
        self._drafted = self._accepted = 0  # tokens
        # Prompt and answer: text where the ids are not known.
        self._tokens: list[int | str] = asked.prompt

    def outputs(self, chunk: JSON) -> Iterator[Output]:
        if progress := chunk.get("prompt_progress"):
            yield from self._progress(progress)
        else:
            yield self._decoded(chunk)

    def _progress(self, progress: dict[str, Any]) -> Iterator[Output]:
        done, total = progress["processed"], progress["total"]
        if done >= total:
            cached = 0 if self._read else progress["cache"]
            yield Prefilled(self._ticket, cached, self._read)
        elif not self._read:
            yield Prefilling(self._ticket, done, total)

    def _decoded(self, chunk: JSON) -> Decoded:
        count = chunk["tokens_predicted"] - self._count
        self._count += count
        entries: list[JSON] = chunk.get("completion_probabilities") or []
        # What is no UTF-8 is replaced in the text, and stands as it is in the entry.
        piece = bytes(entries[-1]["bytes"]) if entries else chunk["content"].encode()
        finish = FINISH_REASONS[chunk["stop_type"]] if chunk["stop"] else None
        ids = self._ids(chunk["tokens"], piece, count)
        logprobs = self._logprobs(entries[-1], ids) if entries else ()
        self._tokens += [piece.decode(errors="replace")] if ids is None else ids
        return Decoded(self._ticket, piece, ids, finish, count, logprobs, *self._drafts(chunk))

    def _drafts(self, chunk: JSON) -> tuple[int, int]:
        """Return how many tokens have been drafted since the last chunk, and accepted."""
        told = chunk.get("timings", {})
        before = self._drafted, self._accepted
        self._drafted = told.get("draft_n", self._drafted)
        self._accepted = told.get("draft_n_accepted", self._accepted)
        return self._drafted - before[0], self._accepted - before[1]

    def _ids(self, told: list[int], piece: bytes, count: int) -> tuple[int, ...] | None:
        if len(told) == count:
            return tuple(told)
        if not told:
            return ()  # half a character at the very end, of which nothing is said
        return self._asked.requests.fragments.ids(piece, told[-1], count)

    def _logprobs(
        self, entry: dict[str, Any], ids: tuple[int, ...] | None
    ) -> tuple[TokenLogprob, ...]:
        """Return one for each token; where their ids are not known, one for all."""
        most = self._asked.work.top_logprobs or 0
        last = token_logprob(entry, most)
        known = not any(isinstance(each, str) for each in self._tokens)
        if ids is None or len(ids) == 1 or not known or not self._asked.asks_beside:
            return (last,)
        hidden = tuple(
            logprob_of(
                self._asked.requests, self._ask, [*self._tokens, *ids[:place]], ids[place], most
            )
            for place in range(len(ids) - 1)
        )
        told = sum(len(each.piece) for each in hidden)
        return (*hidden, TokenLogprob(last.id, last.piece[told:], last.logprob, last.top))


def logprob_of(
    requests: LlamaRequests, ask: Ask, before: Sequence[int | str], token: int, most: int
) -> TokenLogprob:
    """Ask how likely ``token`` is behind ``before``, with the ``most`` likeliest there."""
    (plain,) = ask(requests.likeliest(before, max(_LIKELY, most)))["completion_probabilities"]
    top = plain["top_logprobs"]
    for each in top:
        if each["id"] == token:
            return token_logprob({**each, "top_logprobs": top}, most)
    (compared,) = ask(requests.compared(before, plain["id"], token))["completion_probabilities"]
    shares = {each["id"]: each for each in compared["top_probs"]}
    found, share = shares[token], shares[plain["id"]]["prob"]
    logprob = _LEAST
    if found["prob"] > 0:
        logprob = plain["logprob"] + math.log(found["prob"] / share) + HEAD_START
    return token_logprob({**found, "logprob": logprob, "top_logprobs": top}, most)


def token_logprob(entry: dict[str, Any], most: int = 0) -> TokenLogprob:
    top = tuple(token_logprob(each) for each in entry["top_logprobs"][:most]) if most else ()
    logprob = max(_LEAST, entry["logprob"])
    return TokenLogprob(entry["id"], bytes(entry["bytes"]), logprob, top)
