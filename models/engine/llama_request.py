"""What is asked of llama.cpp's server: completions, in its own words.

The names are those of tools/server/README.md. Much that the server does not understand it
passes over in silence, or takes for something else: nothing leaves here that it could.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models import gguf
from models.engine.backend import Work
from models.engine.counted import readable
from models.engine.fragments import Fragments
from models.engine.llama_client import JSON
from models.engine.llama_sight import LlamaSight
from models.engine.prepared import FIRST_PLACE, refuse_unknown
from models.engine.sampling import Sampling, check, resolve
from models.errors import InvalidRequest, LoadFailed
from models.gguf import TemplateSource
from models.model_family import family_of

# Said with each request, so that both engines draw in one order whatever llama.cpp's is.
_SAMPLERS = ["penalties", "dry", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"]
# The best token alone is drawn from: with all others beside it, whose share is nothing, it took
# longer. Other filters could only take it away.
_GREEDY_SAMPLERS = ["penalties", "dry", "top_k", "temperature"]
# -1 and the largest 32-bit number mean any seed (LLAMA_DEFAULT_SEED), and larger ones wrap.
# Several answers to one prompt count up from the first one's.
_SEEDS = (1 << 32) - 1024
# Logits are some tens apart at the most. More would round them: they are 32-bit numbers.
HEAD_START = 30.0
_ABOVE_OTHERS = 200.0
_FORCING = 1e6
# Of the last chunk, which else has the whole prompt in it as text.
_LAST_FIELDS = ["index", "content", "tokens", "tokens_predicted", "stop", "stop_type", "id_slot"]
# Stands for "none" where llama.cpp wants at least one: no text has it.
_NO_BREAKER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Asked:
    """Sequences of one prompt, ready to be asked for: ``body`` is that of a POST to /completion.

    ``asks_beside`` is whether there is room to ask for what the answer hides.
    """

    work: Work
    body: JSON
    requests: "LlamaRequests"
    asks_beside: bool

    @property
    def prompt(self) -> list[int | str]:
        """What it goes on from: with text where the ids are not known."""
        return list(self.work.tokens if self.work.pictures else self.body["prompt"])

    @property
    def reads_prompt(self) -> bool:
        """Whether the prompt's log-probabilities are wanted, and this is where it begins."""
        return self.work.prompt_logprobs and len(self.prompt) == len(self.work.tokens)


class LlamaRequests:
    """Makes what is asked of the child that has the GGUF file ``path``.

    ``context_length`` is what a sequence may hold, in tokens. ``always`` is said with each
    request, whatever it is for.
    """

    def __init__(
        self,
        path: Path,
        source: TemplateSource,
        context_length: int,
        sight: LlamaSight | None = None,
    ) -> None:
        self._path = path
        self._sight = sight
        self._tokenizer_model = source.tokenizer_model
        self._own_sampling = source.sampling
        self._vocabulary_size = source.vocabulary_size
        self._context_length = context_length
        self._tags = family_of(source.text).tags
        self.always: JSON = {"cache_prompt": True}

    @cached_property
    def fragments(self) -> Fragments:
        """Read when it is first needed: a large vocabulary takes 0.1 s."""
        try:
            return Fragments(gguf.read_tokens(self._path), self._tokenizer_model)
        except LoadFailed:  # the file has gone since: what it had is in memory
            return Fragments([], "")

    def check(self, work: Work) -> None:
        """Raises InvalidRequest where the model lacks the tokens, or cannot draw like that."""
        if work.pictures and work.prompt_logprobs:
            raise InvalidRequest("A prompt with pictures has no log-probabilities: leave them out.")
        known = [each for each in work.tokens if each < FIRST_PLACE] if work.pictures else ()
        refuse_unknown(known or work.tokens, self._vocabulary_size)
        check(resolve(work.sampling, self._own_sampling), self._vocabulary_size)

    def completion(self, work: Work) -> JSON:
        """Return the body of a POST to /completion that streams; ``work`` has been checked."""
        body: JSON = {
            "prompt": self._prompt(work),
            "n_predict": work.max_tokens,  # 0 would be one
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "response_fields": _LAST_FIELDS,
            **self._sampling(resolve(work.sampling, self._own_sampling)),
        }
        if work.top_logprobs is not None:
            body["n_probs"] = max(1, work.top_logprobs)  # 0 would be none at all
        if work.grammar:
            body["grammar"] = work.grammar.lark
        # Text of its own it would not show for a token of control.
        shown = {*self._tags, work.grammar.behind if work.grammar else ""} - {""}
        return body | ({"preserved_tokens": sorted(shown)} if shown else {})

    def _prompt(self, work: Work) -> Sequence[int] | JSON:
        return self._sight.prompt(work) if self._sight and work.pictures else work.tokens

    def forced(self, before: Sequence[int | str], tokens: Sequence[int], top: int) -> JSON:
        """Return what has ``tokens`` written behind ``before``, with their log-probabilities.

        It ends early behind a token that ends a turn. Of a character that several tokens
        make it tells the last alone.
        """
        grammar = " ".join(f"<[{each}]>" for each in tokens)
        return {
            **_plainly(before, len(tokens), max(1, top)),
            "grammar": f"%llguidance {{}}\nstart: {grammar}",
            "stream": True,
            "return_tokens": True,
            "return_progress": True,  # or it could not be cancelled while it reads
        }

    def likeliest(self, before: Sequence[int | str], count: int) -> JSON:
        """Return what tells the ``count`` likeliest tokens behind ``before``.

        It has a plain token written there: one that begins a character would not be told of.
        """
        return {**_plainly(before, 1, count), "logit_bias": [["a", _FORCING]]}

    def compared(self, before: Sequence[int | str], plain: int, token: int) -> JSON:
        """Return what tells how much likelier than ``token`` the ``plain`` one is.

        All others are out of the question, and ``plain`` is written: it is made likelier by
        a factor of e to the HEAD_START.
        """
        return {
            **_plainly(before, 1, 2),
            "logit_bias": [[plain, _ABOVE_OTHERS + HEAD_START], [token, _ABOVE_OTHERS]],
            "temperature": 1.0,
            "post_sampling_probs": True,
        }

    def monotone(self, read: int, write: int) -> JSON:
        """Return what reads one token so many times, and has it written so many times more."""
        token = self._vocabulary_size // 2
        return {
            **_plainly([token] * read, write, 0),
            "logit_bias": [[token, _FORCING]],
            "ignore_eos": True,
        }

    def _sampling(self, sampling: Sampling) -> JSON:
        greedy = sampling.temperature <= 0
        return {
            "samplers": _GREEDY_SAMPLERS if greedy else _SAMPLERS,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 1 if greedy else sampling.top_k,
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


def _plainly(before: Sequence[int | str], count: int, n_probs: int) -> JSON:
    return {
        "prompt": before,
        "n_predict": count,
        "n_probs": n_probs,
        "samplers": ["temperature"],
        "temperature": 0.0,
    }


def _bias(token: int | str, bias: float) -> list[Any]:
    text = readable(token) if isinstance(token, str) else token
    return [text, False if bias == -math.inf else bias]
