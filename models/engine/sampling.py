"""What a request leaves open about sampling, filled in once for both engines."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from models.chat import SamplingParams


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
