"""What a person can choose of a model's thinking: whether, and how hard.

An API passes on what its client says, and says nothing where that does. A person who looks at
a switch must see what holds: so window and command always say what they want of a model that
can be told, and want it to think, as Ollama's own command does.
"""

from typing import Literal, TypeAlias

from models import abilities
from models.abilities import Ability
from models.go_jinja import to_jinja
from models.model import Model
from models.template_signs import knows_effort, may_skip_thinking

Choice: TypeAlias = bool | Literal["low", "medium", "high", "max"]

EFFORTS: tuple[Choice, ...] = ("low", "medium", "high")
_USUAL: Choice = "medium"  # as the templates have it that know efforts


def choices(model: Model) -> tuple[Choice, ...]:
    """Return what can be chosen, the least first; empty where there is nothing to choose.

    A model that cannot think has no choice, and neither has one that always does.
    """
    if Ability.THINKING not in abilities.of(model):
        return ()
    switch, effort = model.details.thinking_switch, model.details.thinking_effort
    if model.profile.template is not None:  # in place of the one that was looked at
        template = to_jinja(model.profile.template)
        switch, effort = may_skip_thinking(template), knows_effort(template)
    levels = EFFORTS if effort else (True,) if switch else ()
    return (False, *levels) if switch else levels


def nearest(wanted: Choice | None, among: tuple[Choice, ...]) -> Choice | None:
    """Return the choice that comes next to what is wanted, perhaps of another model.

    ``wanted`` None is what is usual: to think. None comes back where there is no choice.
    """
    if not among or wanted in among:
        return wanted if among else None
    if wanted is False:
        return among[0]
    if wanted == "max":
        return among[-1]
    return _USUAL if _USUAL in among else True
