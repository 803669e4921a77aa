"""What a request leaves open about sampling, filled in and checked once for both engines.

The order of a draw is llama.cpp's (common/common.h, ``samplers``), and so is what each step
means: logit_bias, penalties, DRY, top_k, typical_p, top_p, min_p, XTC, temperature.
"""

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from models.chat import SamplingParams
from models.errors import InvalidRequest
from models.sampling_ranges import LONGEST_BREAKER_BYTES, MOST_BREAKERS

# Each costs time before the first token: 100,000 biases 0.7 s in llama.cpp's server.
MOST_LOGIT_BIASES = 1024
LONGEST_LOGIT_BIAS_TEXT = 256  # characters
LARGEST_LOGIT_BIAS = 1e6  # it is added to 32-bit numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """``SamplingParams`` with nothing left open. The defaults are Ollama's (api/types.go)."""

    temperature: float = 0.8
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.0
    typical_p: float = 1.0
    seed: int = 0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int | str, float], ...] = ()
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    ignore_eos: bool = False


_NUMBERS = tuple(
    name for name, each in Sampling.__dataclass_fields__.items() if each.type in (float, "float")
)

# What Hugging Face's generation_config.json calls them.
_OWN_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}


def resolve(asked: SamplingParams, own: Mapping[str, float]) -> Sampling:
    """Take the request's values, else the model's ``own``, else the defaults.

    Without a seed each call draws a new one.
    """
    values: dict[str, Any] = dict(own)
    for field in SamplingParams.__dataclass_fields__:
        value = getattr(asked, field)
        if value is not None:
            values[field] = value
    if asked.seed is None:
        values["seed"] = secrets.randbelow(2**31)
    return Sampling(**values)


def check(sampling: Sampling, vocabulary_size: int) -> None:
    """See that an engine can do what is asked, before anything of it reaches a batch.

    Raises:
        InvalidRequest
    """
    for name in _NUMBERS:
        if not math.isfinite(getattr(sampling, name)):
            raise InvalidRequest(f"'{name}' must be a finite number.", field=name)
    if sampling.repeat_penalty <= 0:
        raise InvalidRequest("'repeat_penalty' must be above 0.", field="repeat_penalty")
    if sampling.dry_multiplier < 0:
        raise InvalidRequest("'dry_multiplier' must not be below 0.", field="dry_multiplier")
    _check_biases(sampling.logit_bias, vocabulary_size)
    _check_breakers(sampling.dry_sequence_breakers)


def _check_biases(biases: tuple[tuple[int | str, float], ...], vocabulary_size: int) -> None:
    problem = None
    if len(biases) > MOST_LOGIT_BIASES:
        problem = f"must name at most {MOST_LOGIT_BIASES} tokens, not {len(biases)}"
    for token, bias in biases:
        if isinstance(token, str) and len(token) > LONGEST_LOGIT_BIAS_TEXT:
            problem = f"must name texts of at most {LONGEST_LOGIT_BIAS_TEXT} characters"
        elif isinstance(token, int) and not 0 <= token < vocabulary_size:
            problem = f"names token {token}, and this model's go from 0 to {vocabulary_size - 1}"
        elif bias != -math.inf and not abs(bias) <= LARGEST_LOGIT_BIAS:
            problem = f"must give {token!r} a number between -1e6 and 1e6"
    if problem:
        raise InvalidRequest(f"'logit_bias' {problem}.", field="logit_bias")


def _check_breakers(breakers: tuple[str, ...]) -> None:
    problem = None
    if len(breakers) > MOST_BREAKERS:
        problem = f"must be at most {MOST_BREAKERS} texts, not {len(breakers)}"
    elif any(len(each.encode("utf-8", "replace")) > LONGEST_BREAKER_BYTES for each in breakers):
        problem = f"must be texts of at most {LONGEST_BREAKER_BYTES} bytes"
    if problem:
        name = "dry_sequence_breakers"
        raise InvalidRequest(f"'{name}' {problem}.", field=name)


def own_defaults(folder: Path) -> dict[str, float]:
    """Return what ``generation_config.json`` in ``folder`` recommends; {} without one."""
    try:
        raw = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    config = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    found: dict[str, float] = {}
    for theirs, ours in _OWN_NAMES.items():
        value = config.get(theirs)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[ours] = value
    return found
