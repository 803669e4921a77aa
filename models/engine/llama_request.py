"""What is asked of llama.cpp's server: completions, in its own words.

The names are those of tools/server/README.md. Much that the server does not understand it
passes over in silence, or takes for something else: nothing leaves here that it could.
"""

import math
from typing import Any

from models.engine.backend import Work
from models.engine.counted import readable
from models.engine.llama_client import JSON
from models.engine.prepared import refuse_unknown
from models.engine.sampling import Sampling, check, resolve
from models.gguf import TemplateSource

# Said with each request, so that both engines draw in one order whatever llama.cpp's is.
_SAMPLERS = ["penalties", "dry", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"]
# The best token is drawn: filters could only take it away.
_GREEDY_SAMPLERS = ["penalties", "dry", "temperature"]
# -1 and the largest 32-bit number mean any seed (LLAMA_DEFAULT_SEED), and larger ones wrap.
_SEEDS = (1 << 32) - 1
# Stands for "none" where llama.cpp wants at least one: no text has it.
_NO_BREAKER = "\U0010ffff"


class LlamaRequests:
    """Makes what is asked of one model's child.

    ``context_length`` is what a sequence may hold, in tokens.
    """

    def __init__(self, source: TemplateSource, context_length: int) -> None:
        self._own_sampling = source.sampling
        self._vocabulary_size = source.vocabulary_size
        self._context_length = context_length

    def completion(self, work: Work) -> JSON:
        """Return the body of a POST to /completion that streams.

        Raises:
            InvalidRequest: the model does not know the tokens, or cannot draw like that.
        """
        refuse_unknown(work.tokens, self._vocabulary_size)
        sampling = resolve(work.sampling, self._own_sampling)
        check(sampling, self._vocabulary_size)
        return {
            "prompt": work.tokens,
            "n_predict": work.max_tokens,  # 0 would be one
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "cache_prompt": True,
            **self._sampling(sampling),
        }

    def _sampling(self, sampling: Sampling) -> JSON:
        greedy = sampling.temperature <= 0
        return {
            "samplers": _GREEDY_SAMPLERS if greedy else _SAMPLERS,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "typical_p": sampling.typical_p,
            "seed": sampling.seed % _SEEDS,
            "repeat_penalty": sampling.repeat_penalty,
            "repeat_last_n": self._looked_back(sampling.repeat_last_n),
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "xtc_probability": sampling.xtc_probability,
            "xtc_threshold": sampling.xtc_threshold,
            **self._dry(sampling),
            "logit_bias": [_bias(token, bias) for token, bias in sampling.logit_bias],
            "ignore_eos": sampling.ignore_eos,
        }

    def _dry(self, sampling: Sampling) -> JSON:
        if not sampling.dry_multiplier:
            return {}  # or it would look for the breakers in its vocabulary all the same
        breakers = [readable(each) for each in sampling.dry_sequence_breakers if each]
        return {
            "dry_multiplier": sampling.dry_multiplier,
            "dry_base": sampling.dry_base,
            "dry_allowed_length": sampling.dry_allowed_length,
            "dry_penalty_last_n": self._looked_back(sampling.dry_penalty_last_n),
            "dry_sequence_breakers": breakers or [_NO_BREAKER],
        }

    def _looked_back(self, tokens: int) -> int:
        # It refuses -1, though it knows what that means elsewhere.
        return tokens if 0 <= tokens < self._context_length else self._context_length


def _bias(token: int | str, bias: float) -> list[Any]:
    text = readable(token) if isinstance(token, str) else token
    return [text, False if bias == -math.inf else bias]
