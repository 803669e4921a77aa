"""What a chat template gives away of its model: whether it can call tools and think here.

A template is a program and could be asked by running it. But the words it must use to do
its work stand in its text, and finding those costs nothing and cannot fail: ``tools`` is
the variable that holds the tools, and how calls and thoughts are marked is the family's.
"""

import re

from models.model_family import family_of

_SWITCH = re.compile(
    r"(?<!\.)\b(?:enable_thinking|thinking_budget)\b(?!\s*=[^=])"
    # DeepSeek's and Granite's name for it, which is a field of a message elsewhere.
    r"|\{%-?\s*(?:el)?if\b(?:(?!%\}).)*?(?<![.\w'\"])thinking\b(?!['\"])"
)
_EFFORT = re.compile(r"\breasoning_effort\b")
_TOOLS = re.compile(r"tools\b")  # SmolLM3 has xml_tools and python_tools


def knows_tools(template: str | None) -> bool:
    """Whether it has room for tools, and the calls that come of them can be read."""
    if template is None or family_of(template).calls is None:
        return False
    return _TOOLS.search(template) is not None


def knows_thinking(template: str | None) -> bool:
    return family_of(template).thoughts is not None


def may_skip_thinking(template: str | None) -> bool:
    """Whether it thinks and can be asked to answer at once."""
    return _thinks_by(_SWITCH, template)


def knows_effort(template: str | None) -> bool:
    """Whether it thinks and can be told how hard."""
    return _thinks_by(_EFFORT, template)


def _thinks_by(sign: re.Pattern[str], template: str | None) -> bool:
    return template is not None and knows_thinking(template) and sign.search(template) is not None
