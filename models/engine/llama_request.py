"""What is asked of llama.cpp's server: one completion, in its own words.

The names are those of tools/server/README.md.
"""

from models.engine.backend import Work
from models.engine.llama_client import JSON
from models.engine.sampling import Sampling, resolve


def completion(work: Work) -> JSON:
    """Return the body of a POST to /completion that streams."""
    return {
        "prompt": work.tokens,
        "n_predict": work.max_tokens,
        "stream": True,
        "return_tokens": True,
        "return_progress": True,
        "cache_prompt": True,
        **_sampling_fields(resolve(work.sampling, {})),
    }


def _sampling_fields(sampling: Sampling) -> JSON:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "typical_p": sampling.typical_p,
        "seed": sampling.seed,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": sampling.repeat_last_n,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
