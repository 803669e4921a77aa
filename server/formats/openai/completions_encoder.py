"""Answers in the words of OpenAI's completions: pieces of text, or several completions."""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from models.best_of import likeliest
from models.chat import Reasoning, Text
from models.events import (
    Event,
    Finished,
    FinishReason,
    PromptRead,
    ReasoningDelta,
    Started,
    TextDelta,
    TokenLogprob,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.fields import Json
from server.formats.openai.prompts import Prompt
from server.formats.openai.text_logprobs import logprobs_body, of_prompt, said
from server.formats.openai.usage import Tally, timings_body, together, usage_body
from server.framing import Chunk, Template


class Common:
    """What all pieces of one answer have in common; there are ``n`` completions of each prompt.

    ``echo``: each begins with its prompt. ``silent``: that is all, as nothing is to be written.
    """

    def __init__(
        self,
        model: str,
        prompts: Sequence[Prompt],
        n: int,
        *,
        echo: bool,
        silent: bool,
        with_logprobs: bool,
        with_usage: bool,
    ) -> None:
        self.head: Json = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama",
        }
        self._prompts = prompts
        self._n = n
        self.echo = echo
        self.silent = silent
        self.with_logprobs = with_logprobs
        self.with_usage = with_usage
        self.tally = Tally(len(prompts) * n, n)

    def prompt(self, index: int) -> Prompt:
        """Return what a completion goes on from."""
        return self._prompts[index // self._n]

    def whole(self, replies: Sequence[Reply]) -> Json:
        """Return the answer that is no stream: of each prompt's replies the likeliest."""
        each = len(replies) // len(self._prompts)
        chosen: list[Reply] = []
        for at in range(0, len(replies), each):
            some = replies[at : at + each]
            chosen += likeliest(some, self._n) if each > self._n else some
        usage = self.counted(together([_end_of(reply).usage for reply in replies], each))
        return {
            **self.head,
            "choices": [self._choice(index, reply) for index, reply in enumerate(chosen)],
            "usage": usage_body(usage),
            "timings": timings_body(usage),
        }

    def _choice(self, index: int, reply: Reply) -> Json:
        prompt = of_prompt(self.prompt(index), reply.prompt)
        before = echoed(self.prompt(index), prompt) if self.echo else ""
        text = "" if self.silent else _written(reply)
        tokens = [*prompt, *([] if self.silent else reply.tokens)]
        first = len(prompt) == len(reply.prompt) > 0
        logprobs = logprobs_body(tokens, 0, first=first) if self.with_logprobs else None
        return self.choice(index, before + text, logprobs, self.reason(_end_of(reply)))

    def choice(
        self, index: int, text: str, logprobs: Json | None = None, reason: str | None = None
    ) -> Json:
        return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}

    def counted(self, usage: Usage) -> Usage:
        """Return a usage without the token that was written although none was wanted."""
        return replace(usage, completion_tokens=0) if self.silent else usage

    def reason(self, end: Finished) -> str:
        cut = self.silent or end.reason is FinishReason.MAX_TOKENS
        return "length" if cut else "stop"


def _end_of(reply: Reply) -> Finished:
    return reply.finished or Finished(FinishReason.CANCELLED)


def _written(reply: Reply) -> str:
    """All of it: what a model may have thought is text here too."""
    return "".join(part.text for part in reply.whole() if isinstance(part, Text | Reasoning))


def echoed(prompt: Prompt, tokens: Sequence[TokenLogprob]) -> str:
    """Return what a prompt says; of ids only the tokens know."""
    return prompt if isinstance(prompt, str) else said(tokens)


class Encoder:
    """Turns the events of one completion into pieces of it."""

    def __init__(self, common: Common, index: int = 0) -> None:
        self._common = common
        self._index = index
        self._told = 0  # characters
        self._text = Template(self._piece, 1)

    def encode(self, event: Event) -> Iterable[Chunk]:
        common = self._common
        if isinstance(event, TextDelta) and not (common.with_logprobs or common.silent):
            return (self._text.fill(event.text),)  # nearly all are that
        return self._encode(event)

    def _encode(self, event: Event) -> Iterator[Chunk]:
        prompt = self._common.prompt(self._index)
        match event:
            case TextDelta(text, tokens) | ReasoningDelta(text, tokens):
                if not self._common.silent:
                    yield self._say(text, tokens)
            case Started() if self._common.echo and not self._reads_prompt(prompt):
                yield self._say(echoed(prompt, ()), ())
            case PromptRead(read) if self._common.echo:
                tokens = of_prompt(prompt, read)
                yield self._say(echoed(prompt, tokens), tokens, first=len(tokens) == len(read))
            case Finished():
                yield from self._end(event)
            case _:
                pass  # there is no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        return self._common.whole([reply])

    def _reads_prompt(self, prompt: Prompt) -> bool:
        return self._common.with_logprobs or not isinstance(prompt, str)

    def _say(self, text: str, tokens: Sequence[TokenLogprob], *, first: bool = False) -> Json:
        logprobs = None
        if self._common.with_logprobs:
            logprobs = logprobs_body(tokens, self._told, first=first)
        self._told += len(text)
        return self._chunk(self._common.choice(self._index, text, logprobs))

    def _end(self, end: Finished) -> Iterator[Chunk]:
        common = self._common
        last = self._chunk(common.choice(self._index, "", reason=common.reason(end)))
        usage = common.tally.add(self._index, end.usage)
        usage = common.counted(usage) if usage else None
        timings: Json = {"timings": timings_body(usage)} if usage else {}
        if usage and common.with_usage:
            yield last
            yield {**common.head, "choices": [], "usage": usage_body(usage), **timings}
        else:
            yield last | timings

    def _piece(self, text: str) -> Json:
        return self._chunk(self._common.choice(self._index, text))

    def _chunk(self, choice: Json) -> Json:
        usage = {"usage": None} if self._common.with_usage else {}
        return {**self._common.head, "choices": [choice], **usage}
