"""From a request to the work of a backend: made on a thread of its own, then handed over."""

import time
from typing import TYPE_CHECKING, TypeAlias

from models.chat import EmbedRequest, GenerateRequest, RerankRequest
from models.engine.backend import Backend, EmbedWork, Work
from models.engine.embedding import Embedding
from models.engine.generation import Generation
from models.engine.inputs import InputReader
from models.engine.job import Group, Job
from models.engine.prepared import Prompt
from models.model import Model
from models.pooling import reads_whole

if TYPE_CHECKING:  # it brings Jinja along, which no start of the program needs
    from models.engine.prompt import Prompter

Made: TypeAlias = Prompt | EmbedWork


def make(
    request: GenerateRequest | EmbedRequest | RerankRequest, prompter: "Prompter", model: Model
) -> Made:
    """Render, tokenise and cut. It may take seconds, and may be called on any thread.

    Raises:
        ContextOverflow, InvalidRequest, ModelCrashed: as the methods that it calls.
    """
    if isinstance(request, GenerateRequest):
        return prompter.prepare(request)
    longest = prompter.context_length
    if not reads_whole(model.details.pooling):
        longest -= 1  # llama.cpp wants room for the token that would follow
    reader = InputReader(prompter.tokenizer, model.details, longest)
    if isinstance(request, EmbedRequest):
        return reader.embed(request)
    return reader.rerank(request)


def insert(backend: Backend, group: Group, made: Made) -> None:
    """Give a backend what was made for a group, and each job what reads its outputs.

    Raises:
        InvalidRequest: as the backend's methods.
    """
    if isinstance(made, Prompt):
        backend.insert({job.ticket: _work(job, made) for job in group.jobs})
    else:
        for job in group.jobs:
            backend.embed(job.ticket, made)
    for job in group.jobs:
        job.generation = _reader_of(job, made)


def _reader_of(job: Job, made: Made) -> Generation | Embedding:
    match job.request, made:
        case GenerateRequest() as request, Prompt():
            return Generation(request, made, job.submitted)
        case (EmbedRequest() | RerankRequest()) as request, EmbedWork():
            return Embedding(request, made, time.monotonic() - job.submitted)
        case request, _:
            raise AssertionError(f"{type(request).__name__} got {type(made).__name__}")


def _work(job: Job, prompt: Prompt) -> Work:
    request = job.request
    assert isinstance(request, GenerateRequest)
    return Work(
        tokens=prompt.tokens,
        max_tokens=prompt.max_tokens,
        sampling=request.sampling,
        checkpoints=prompt.checkpoints,
        grammar=prompt.grammar,
        thought=prompt.thought,
        top_logprobs=request.top_logprobs,
        prompt_logprobs=request.prompt_logprobs,
        pictures=prompt.pictures,
        pieces=prompt.pieces,
        urgent=job.origin.door == "window",
    )
