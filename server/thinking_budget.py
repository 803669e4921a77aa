"""How long a model may think, in the words of those servers that let one say it."""

from models.chat import Thinking
from server.contract import Row, integer
from server.fields import Fields

BUDGET_ROWS = (
    Row("thinking_budget", integer(-1), note="ours: tokens until a thought is ended; -1: any"),
    Row("reasoning_budget", integer(-1), note="the same, as llama.cpp's server has it"),
    Row("reasoning.max_tokens", integer(0), note="the same, as OpenRouter has it"),
)


def read_thinking_budget(fields: Fields) -> int | None:
    """Return how many tokens a thought may have; None: as many as it takes.

    Raises InvalidRequest.
    """
    budgets = [fields.integer(name, least=-1) for name in ("thinking_budget", "reasoning_budget")]
    reasoning = fields.inner("reasoning")
    budgets.append(reasoning.integer("max_tokens", least=0) if reasoning else None)
    given = [each for each in budgets if each is not None]
    return given[0] if given and given[0] >= 0 else None


def within(thinking: Thinking, budget: int | None) -> Thinking:
    """Return whether to think at all: a model is better asked not to than stopped at once."""
    return False if thinking is None and budget == 0 else thinking
