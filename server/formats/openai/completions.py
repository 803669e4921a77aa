"""Completions: https://platform.openai.com/docs/api-reference/completions

The prompt goes to the model as it is, without its chat template.
"""

from dataclasses import dataclass, replace

from quart import Blueprint, Response, request

from models.chat import GenerateRequest, Overflow
from models.errors import InvalidRequest
from server.answer import Asked, answer
from server.body import read_asked
from server.contract import settle
from server.fields import Fields, Json
from server.formats.openai.common_fields import (
    MOST_CHOICES,
    read_context_length,
    read_count,
    read_drawing,
    read_model,
    seeds_of,
    wants_usage,
)
from server.formats.openai.completions_encoder import Common, Encoder
from server.formats.openai.contract import COMPLETIONS
from server.formats.openai.prompts import Prompt, read_prompts
from server.keep_alive import read_keep_alive
from server.openai_fields import read_constraint
from server.overflow import read_overflow
from server.sampling import read_stop
from server.streams import Streams
from server.voices import Choices
from server.wires import OPENAI_CHAT

_USUAL_TOKENS = 16
_MOST_LOGPROBS = 20


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = read_model(fields)
    prompts = read_prompts(fields, "prompt")
    if not prompts:
        if fields.value("prompt") is not None:
            raise InvalidRequest('"prompt" must not be an empty list.', field="prompt")
        prompts = ("",)
    counts = _Counts.read(fields, len(prompts))
    stream = bool(fields.flag("stream"))
    if stream and counts.best_of > counts.n:
        raise InvalidRequest('"best_of" cannot be more than "n" in a stream.', field="best_of")
    asked, wanted = _read_request(fields, model, counts)
    requests = tuple(_for_prompt(asked, each, wanted) for each in prompts)
    common = Common(
        model,
        prompts,
        counts.n,
        echo=wanted.echo,
        silent=wanted.silent,
        with_logprobs=wanted.logprobs,
        with_usage=wants_usage(fields),
    )
    encoders = tuple(Encoder(common, index) for index in range(len(prompts) * counts.n))
    return Asked(
        request=requests[0],
        stream=stream,
        encoder=encoders[0],
        choices=Choices(
            requests=requests,
            seeds=seeds_of(asked.sampling, counts.best_of),
            encoders=encoders,
            whole=common.whole,
        ),
        ignored=settle(fields, COMPLETIONS),
        deed="generate",
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of each prompt."""

    n: int
    best_of: int  # of so many the ``n`` best

    @staticmethod
    def read(fields: Fields, prompts: int) -> "_Counts":
        """Raises InvalidRequest."""
        n = read_count(fields, "n") or 1
        best_of = read_count(fields, "best_of") or n
        if best_of < n:
            raise InvalidRequest('"best_of" must be at least "n".', field="best_of")
        if prompts * best_of > MOST_CHOICES:
            raise InvalidRequest(
                f"{prompts} prompts with {best_of} completions each are more than "
                f"{MOST_CHOICES} in all: ask again for the others.",
                field="prompt",
            )
        return _Counts(n, best_of)


@dataclass(frozen=True, slots=True)
class _Wanted:
    echo: bool
    logprobs: bool
    silent: bool  # nothing is to be written


def _read_request(fields: Fields, model: str, counts: _Counts) -> tuple[GenerateRequest, _Wanted]:
    """Return what is asked of every prompt. Raises InvalidRequest."""
    limit = fields.integer("max_tokens", least=0)
    limit = _USUAL_TOKENS if limit is None else limit
    logprobs = fields.integer("logprobs", least=0, most=_MOST_LOGPROBS)
    wanted = _Wanted(bool(fields.flag("echo")), logprobs is not None, limit == 0)
    suffix = fields.text("suffix") or ""
    if suffix and wanted.echo and wanted.logprobs:
        raise InvalidRequest(
            '"echo" with "logprobs" is not possible beside a "suffix".', field="suffix"
        )
    if logprobs is None and counts.best_of > counts.n:
        logprobs = 0  # by which they are compared
    cut = read_overflow(fields) is not Overflow.REFUSE
    asked = GenerateRequest(
        model=model,
        prompt="",
        suffix=suffix,
        constraint=read_constraint(fields),
        sampling=read_drawing(fields),
        max_tokens=max(1, limit),  # an engine writes one at least
        stop=read_stop(fields),
        top_logprobs=logprobs,
        context_length=read_context_length(fields),
        overflow=Overflow.TRUNCATE if cut else Overflow.REFUSE,
        keep_alive_seconds=read_keep_alive(fields),
    )
    return asked, wanted


def _for_prompt(asked: GenerateRequest, prompt: Prompt, wanted: _Wanted) -> GenerateRequest:
    if isinstance(prompt, str):
        read = wanted.echo and wanted.logprobs
        return replace(asked, prompt=prompt, prompt_logprobs=read)
    if asked.suffix:
        raise InvalidRequest('A "suffix" needs a "prompt" that is a text.', field="prompt")
    # What they say is known from the engine alone.
    return replace(asked, preceding_tokens=prompt, prompt_logprobs=wanted.echo)


def add_routes(blueprint: Blueprint, streams: Streams) -> None:
    @blueprint.post("/v1/completions")
    async def completions() -> Response:
        asked = await read_asked(request, parse)
        return await answer(streams, OPENAI_CHAT, asked, request.headers)
