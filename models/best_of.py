"""``best_of``: of several finished answers to one prompt those that the model finds likeliest."""

import math
from collections.abc import Sequence

from models.reply import Reply


def likeliest(replies: Sequence[Reply], count: int) -> list[Reply]:
    """Return the ``count`` best, the best first; of equals those that came first.

    An answer is as good as the mean log-probability of its tokens (OpenAI's ``best_of``), which
    must have been asked for. One without any is the worst, but for one that did not finish.
    """
    return sorted(replies, key=_worth, reverse=True)[:count]


def _worth(reply: Reply) -> tuple[bool, float]:
    logprobs = [token.logprob for token in reply.tokens]
    mean = math.fsum(logprobs) / len(logprobs) if logprobs else -math.inf
    return reply.finished is not None, mean
