"""One generation, from its prompt to its end: a backend's outputs in, events out.

Pure: it knows no thread, no queue and no clock but the times that outputs carry.
"""

import time
from collections.abc import Iterator

from models.chat import GenerateRequest
from models.engine.backend import (
    Admitted,
    Decoded,
    Output,
    Pooled,
    Prefilled,
    Prefilling,
    SequenceFailed,
)
from models.engine.decoder import Decoder
from models.engine.prepared import FIRST_PLACE, Prompt
from models.engine.speech import channel_of
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    PromptRead,
    Stage,
    Started,
    Usage,
)


class Generation:
    """Feed it every output of its sequence, and ``cancel`` it at most once.

    ``submitted`` is when the request was made, by ``time.monotonic``.
    """

    def __init__(self, request: GenerateRequest, prompt: Prompt, submitted: float) -> None:
        self._prompt = prompt
        self._want_tokens = request.want_tokens
        self._channel = channel_of(request, prompt)
        self._decoder = Decoder(request.stop, self._channel)
        self._submitted = submitted
        self._inserted = time.monotonic()
        self._prompt_tokens = len(prompt.tokens)
        self._cached_tokens = 0
        self._prefilled: float | None = None
        self._latest: float | None = None  # when the latest token was decoded
        self._completion_tokens = 0
        self._reasoning_tokens = 0
        # What was sampled, with the bytes that each made; None: the ids are not all known.
        self._completion: list[tuple[tuple[int, ...], int]] | None = []

    def take(self, output: Output) -> Iterator[Event]:
        match output:
            case Admitted(_, prompt_tokens):
                self._prompt_tokens = prompt_tokens
                yield Started(prompt_tokens, self._prompt.dropped_messages, self._prompt.cut)
            case Prefilling(_, done, total):
                yield Progress(Stage.PREFILL, done, total)
            case Prefilled(_, cached_tokens, logprobs, at):
                self._prefilled = self._latest = at
                self._cached_tokens = cached_tokens
                if logprobs:
                    yield PromptRead(logprobs)
            case Decoded():
                yield from self._decoded(output)
            case SequenceFailed(_, error):
                yield Failed(error)
            case Pooled():
                pass  # of an embedding

    def cancel(self) -> Finished:
        """Return the end of a generation that its asker has had enough of."""
        return self._finished(FinishReason.CANCELLED)

    def _decoded(self, output: Decoded) -> Iterator[Event]:
        self._latest = output.at
        self._completion_tokens += output.count
        if output.ids is None:
            self._completion = None
        elif self._completion is not None and self._want_tokens:
            self._completion.append((output.ids, len(output.piece)))
        was_thinking = self._channel.thinking
        deltas, finish = self._decoder.feed(output.piece, output.finish, output.logprobs)
        if was_thinking or self._channel.thinking:
            self._reasoning_tokens += output.count
        yield from deltas
        if finish is FinishReason.END_OF_TURN and self._channel.calls:
            finish = FinishReason.TOOL_CALLS
        if finish:
            yield self._finished(finish)

    def _finished(self, reason: FinishReason) -> Finished:
        prefilled = time.monotonic() if self._prefilled is None else self._prefilled
        usage = Usage(
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            completion_tokens=self._completion_tokens,
            reasoning_tokens=self._reasoning_tokens,
            load_seconds=self._inserted - self._submitted,
            prefill_seconds=prefilled - self._inserted,
            decode_seconds=(self._latest or prefilled) - prefilled,
        )
        return Finished(
            reason,
            usage,
            self._tokens(reason),
            self._decoder.stop_string,
            self._channel.unread_calls,
        )

    def _tokens(self, reason: FinishReason) -> tuple[int, ...] | None:
        """Prompt and completion, without what ended it."""
        if not self._want_tokens or self._completion is None:
            return None
        said = self._completion
        if reason is FinishReason.STOP_STRING:
            said = self._before(self._decoder.said_bytes)
        ids = [each for ids, _ in said for each in ids]
        if reason in (FinishReason.END_OF_TURN, FinishReason.TOOL_CALLS):
            ids = ids[:-1]
        # Pictures cannot be sent back as numbers.
        return (*(each for each in self._prompt.tokens if each < FIRST_PLACE), *ids)

    def _before(self, said_bytes: int) -> list[tuple[tuple[int, ...], int]]:
        """The tokens that lie wholly in what was said: a stop string may begin inside one."""
        kept: list[tuple[tuple[int, ...], int]] = []
        for ids, size in self._completion or ():
            said_bytes -= size
            if said_bytes < 0:
                break
            kept.append((ids, size))
        return kept
