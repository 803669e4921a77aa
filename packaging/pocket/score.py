"""Judges a reply to a synthetic dialogue by the one that the generator has written."""

# pyright: strict

import json
import re

from data import Dialogue

Score = dict[str, bool]
Call = tuple[str, object]  # a tool's name, its arguments

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_MEASURES = {
    "beyond": "says what it is",
    "recall": "recall",
    "fact": "facts",
    "chat": "talk exact",
    "persona": "persona",
    "result": "tool result into words",
}


def score(dialogue: Dialogue, reply: str) -> Score:
    """Return each measure that applies, and whether it is met."""
    wanted = dialogue.messages[-1]
    thoughts, _, rest = reply.rpartition("</think>")
    said = rest.strip()
    right: Score = {}
    if dialogue.thinking:
        right["thinking opened and closed"] = thoughts.startswith("<think>")
    else:
        right["no thinking unasked"] = not thoughts and "<think>" not in reply
    if wanted.get("tool_calls"):
        wishes = [(one["function"]["name"], one["function"]["arguments"])
                  for one in wanted["tool_calls"]]  # fmt: skip
        made = calls(said)
        prefix = "parallel: " if len(wishes) > 1 else ""
        right[prefix + "tool name"] = [name for name, _ in made] == [name for name, _ in wishes]
        right[prefix + "arguments"] = made == wishes
        return right
    if dialogue.kind in ("refuse", "helpless"):
        right["no tool where none fits"] = not calls(said)
    if dialogue.kind == "json":
        right["JSON valid"] = is_json(said)
        right["JSON exact"] = said == wanted["content"]
    measure = _MEASURES.get(dialogue.kind)
    if measure and "Once upon a time" not in wanted["content"]:  # no two stories are alike
        right[measure] = said == wanted["content"]
    return right


def calls(reply: str) -> list[Call]:
    """Return the calls in a reply; what cannot be read is none."""
    found: list[Call] = []
    for text in _CALL.findall(reply):
        try:
            call = json.loads(text)
            found.append((call["name"], call["arguments"]))
        except (ValueError, LookupError, TypeError):
            continue
    return found


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
