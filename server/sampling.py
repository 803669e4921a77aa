"""How a request wants its tokens drawn: the same names in every family that has them."""

from models.chat import SamplingParams
from server.fields import Fields

_MOST_REPEAT_LAST_N = 1 << 20  # llama.cpp sets aside memory for each of them
_LARGEST_PENALTY = 100.0
_LEAST_REPEAT_PENALTY = 0.01  # logits are divided by it


def read_sampling(fields: Fields) -> SamplingParams:
    """Raises InvalidRequest."""
    top_k = fields.integer("top_k")
    seed = fields.integer("seed")
    last_n = fields.integer("repeat_last_n", least=-1, most=_MOST_REPEAT_LAST_N)
    return SamplingParams(
        temperature=fields.number("temperature", least=0),
        top_p=fields.number("top_p", least=0, most=1),
        top_k=None if top_k is None else max(0, top_k),  # -1 is llama.cpp's "all of them"
        min_p=fields.number("min_p", least=0, most=1),
        typical_p=fields.number("typical_p", least=0, most=1),
        seed=None if seed is None or seed < 0 else seed,  # -1 is everybody's "any"
        repeat_penalty=fields.number("repeat_penalty", least=_LEAST_REPEAT_PENALTY),
        repeat_last_n=_MOST_REPEAT_LAST_N if last_n == -1 else last_n,  # -1: the whole context
        presence_penalty=_penalty(fields, "presence_penalty"),
        frequency_penalty=_penalty(fields, "frequency_penalty"),
    )


def read_limit(fields: Fields, name: str) -> int | None:
    """Read a count of tokens, where 0 and -1 are ways to say that there is no limit."""
    limit = fields.integer(name)
    return None if limit is None or limit <= 0 else limit


def read_stop(fields: Fields) -> tuple[str, ...]:
    return tuple(text for text in fields.texts("stop") if text)


def _penalty(fields: Fields, name: str) -> float | None:
    return fields.number(name, least=-_LARGEST_PENALTY, most=_LARGEST_PENALTY)
