"""What belongs between two texts: the answer, as llama.cpp's server gives it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, cast

from models.chat import GenerateRequest
from models.events import (
    Event,
    Finished,
    FinishReason,
    Started,
    TextDelta,
    TokenLogprob,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.fields import Json
from server.logprobs import token_body

_STOP_TYPES = {
    FinishReason.END_OF_TURN: "eos",
    FinishReason.STOP_STRING: "word",
    FinishReason.MAX_TOKENS: "limit",
    FinishReason.TOOL_CALLS: "eos",
    FinishReason.CANCELLED: "none",
}
_THOUSAND = 1000.0


class Encoder:
    """``picked`` are the fields of an answer that are wanted; (): all.

    ``limit`` is what the caller allowed: with 0 the prompt is read, and nothing said.
    """

    def __init__(
        self,
        request: GenerateRequest,
        *,
        limit: int | None,
        stream: bool,
        picked: Sequence[str] = (),
    ) -> None:
        self._request = request
        self._limit = limit
        self._stream = stream
        self._picked = picked
        self._started = Started(0)

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case Started():
                self._started = event
            case TextDelta(text, tokens) if self._limit != 0:
                said: Json = {"index": 0, "content": text, "tokens": [], "stop": False}
                yield said | {"id_slot": 0} | _probabilities(tokens)
            case Finished():
                yield self._end(event, self._started, "")
            case _:
                pass  # llama.cpp's server has no word for it

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        text = reply.text if self._limit != 0 else ""
        body = self._end(end, reply.started or Started(0), text)
        if self._limit != 0:
            body |= _probabilities(reply.tokens)
        return _pick(body, self._picked) if self._picked else body

    def _end(self, end: Finished, started: Started, text: str) -> Json:
        usage = end.usage
        limited = end.reason is FinishReason.MAX_TOKENS and self._limit != 0
        full = limited and usage.completion_tokens < (self._request.max_tokens or 1 << 62)
        tokens = end.tokens or ()
        predicted = usage.completion_tokens if self._limit != 0 else 0
        return {
            "index": 0,
            "content": text,
            "tokens": list(tokens[usage.prompt_tokens :]) if self._limit != 0 else [],
            "id_slot": 0,
            "stop": True,
            "model": self._request.model,
            "tokens_predicted": predicted,
            "tokens_evaluated": usage.prompt_tokens,
            "generation_settings": self._settings(),
            "prompt": self._request.prompt,
            "has_new_line": "\n" in text,
            "truncated": started.cut or full,
            "stop_type": "limit" if self._limit == 0 else _STOP_TYPES[end.reason],
            "stopping_word": end.stop_string or "",
            "tokens_cached": usage.cached_tokens,
            "timings": _timings(usage, predicted),
        }

    def _settings(self) -> Json:
        """What was asked for of the draw; what is not here is as the model has it."""
        sampling = asdict(self._request.sampling)
        asked = {name: value for name, value in sampling.items() if value not in (None, ())}
        limit = -1 if self._limit is None else self._limit
        return asked | {
            "n_predict": limit,
            "stop": list(self._request.stop),
            "stream": self._stream,
        }


def _probabilities(tokens: Sequence[TokenLogprob]) -> Json:
    if not tokens:
        return {}
    return {
        "completion_probabilities": [
            _probable(token) | {"top_logprobs": [_probable(each) for each in token.top]}
            for token in tokens
        ]
    }


def _probable(token: TokenLogprob) -> Json:
    return {"id": token.id, **token_body(token)}


def _timings(usage: Usage, predicted: int) -> Json:
    read = usage.prompt_tokens - usage.cached_tokens
    return {
        "cache_n": usage.cached_tokens,
        **_pace("prompt", read, usage.prefill_seconds),
        **_pace("predicted", predicted, usage.decode_seconds),
    }


def _pace(name: str, tokens: int, seconds: float) -> Json:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": seconds * _THOUSAND,
        f"{name}_per_token_ms": seconds * _THOUSAND / tokens if tokens else 0.0,
        f"{name}_per_second": tokens / seconds if seconds else 0.0,
    }


def _pick(body: Json, names: Sequence[str]) -> Json:
    """Return the fields of these names; of ``timings/prompt_n`` what is inside, by its own."""
    picked: Json = {}
    for name in names:
        value: Any = body
        for part in name.split("/"):
            value = cast("Json", value).get(part) if isinstance(value, dict) else None
        if value is not None:
            picked[name.rsplit("/", 1)[-1]] = value
    return picked
