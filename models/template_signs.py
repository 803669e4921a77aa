"""What a chat template gives away of its model: whether it was made for tools, for reasoning.

A template is a program and could be asked by running it. But the words it must use to do
its work stand in its text, and finding those costs nothing and cannot fail: ``tools`` is
the variable that holds the tools, and whoever renders or cuts out reasoning names it.
"""

import re

_TOOLS = re.compile(r"tools\b")  # SmolLM3 has xml_tools and python_tools
_THINKING = re.compile(r"thinking|</?think>|\[THINK\]|reasoning_(?:content|effort)")


def knows_tools(template: str | None) -> bool:
    return template is not None and _TOOLS.search(template) is not None


def knows_thinking(template: str | None) -> bool:
    return template is not None and _THINKING.search(template) is not None
