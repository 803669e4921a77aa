"""What an answer has cost, with all its choices, as OpenAI and llama.cpp's server tell it."""

from collections.abc import Sequence

from models.events import Usage
from server.fields import Json


class Tally:
    """Gathers what the choices of one answer have cost, of ``per_prompt`` for each prompt."""

    def __init__(self, choices: int = 1, per_prompt: int = 1) -> None:
        self._usages: list[Usage | None] = [None] * choices
        self._per_prompt = per_prompt

    def add(self, index: int, usage: Usage) -> Usage | None:
        """Return the sum once all choices have ended."""
        self._usages[index] = usage
        known = [each for each in self._usages if each]
        return together(known, self._per_prompt) if len(known) == len(self._usages) else None


def together(usages: Sequence[Usage], per_prompt: int) -> Usage:
    """Return the sum of choices, in their order: each prompt was read once for its choices."""
    if len(usages) == 1:
        return usages[0]
    prompts = [usages[at : at + per_prompt] for at in range(0, len(usages), per_prompt)]
    return Usage(
        prompt_tokens=sum(choices[0].prompt_tokens for choices in prompts),
        cached_tokens=sum(min(each.cached_tokens for each in choices) for choices in prompts),
        completion_tokens=sum(each.completion_tokens for each in usages),
        reasoning_tokens=sum(each.reasoning_tokens for each in usages),
        load_seconds=max(each.load_seconds for each in usages),
        prefill_seconds=max(each.prefill_seconds for each in usages),
        decode_seconds=max(each.decode_seconds for each in usages),
    )


def usage_body(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def timings_body(usage: Usage) -> Json:
    """How long it took, in the words of llama.cpp's server; its clients show them."""
    read = usage.prompt_tokens - usage.cached_tokens
    return {
        "cache_n": usage.cached_tokens,
        **_pace("prompt", read, usage.prefill_seconds),
        **_pace("predicted", usage.completion_tokens, usage.decode_seconds),
    }


def _pace(name: str, tokens: int, seconds: float) -> Json:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": round(1000 * seconds, 3),
        f"{name}_per_token_ms": round(1000 * seconds / tokens, 3) if tokens else 0.0,
        f"{name}_per_second": round(tokens / seconds, 3) if seconds > 0 else 0.0,
    }
