"""What chat completions and completions ask for alike: how many answers, how long, how drawn."""

from dataclasses import replace

from models.chat import SamplingParams
from models.errors import InvalidRequest
from server.fields import Fields
from server.openai_fields import read_logit_bias
from server.sampling import read_limit, read_sampling

MOST_CHOICES = 128  # of one answer; more is work for hours, asked for in a line
_HIGHEST_TEMPERATURE = 2
_SEEDS = 2**63


def read_model(fields: Fields) -> str:
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required")  # Ollama's words, to the letter
    return model


def read_drawing(fields: Fields) -> SamplingParams:
    """Raises InvalidRequest."""
    fields.number("temperature", least=0, most=_HIGHEST_TEMPERATURE)
    return replace(read_sampling(fields), logit_bias=read_logit_bias(fields))


def read_count(fields: Fields, name: str) -> int | None:
    """Return how many answers are wanted."""
    return fields.integer(name, least=1, most=MOST_CHOICES)


def seeds_of(sampling: SamplingParams, count: int) -> tuple[int | None, ...]:
    """Return a seed for each of several answers: the first is what a single one would be."""
    seed = sampling.seed
    return tuple(None if seed is None else (seed + place) % _SEEDS for place in range(count))


def wants_usage(fields: Fields) -> bool:
    options = fields.inner("stream_options")
    return bool(options and options.flag("include_usage"))


def read_context_length(fields: Fields) -> int | None:
    """Not OpenAI's: how else would a client of theirs ask for more?"""
    options = fields.inner("options")
    inner = read_limit(options, "num_ctx") if options else None
    return read_limit(fields, "num_ctx") or read_limit(fields, "context_length") or inner
