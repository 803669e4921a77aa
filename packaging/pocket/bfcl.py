"""The first hundred "simple" questions of the Berkeley Function-Calling Leaderboard."""

# pyright: strict

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from data import Dialogue
from score import Score, calls

COUNT = 100
NAME = "BFCL_v4_simple_python.json"


@dataclass(frozen=True, slots=True)
class Question:
    dialogue: Dialogue
    tool: str
    allowed: dict[str, list[Any]]  # for each argument; "" where it may be left out

    def judge(self, reply: str) -> Score:
        made = calls(reply)
        named = len(made) == 1 and made[0][0] == self.tool
        right = named and self._fits(made[0][1])
        return {"BFCL: tool name": named, "BFCL: arguments": right}

    def _fits(self, arguments: object) -> bool:
        if not isinstance(arguments, dict):
            return False
        given = cast("dict[str, object]", arguments)
        return given.keys() <= self.allowed.keys() and all(
            given[name] in values if name in given else "" in values
            for name, values in self.allowed.items()
        )


def simple(folder: Path) -> Iterator[Question]:
    """Yield the questions in ``folder``; none where it is missing."""
    if not (folder / NAME).is_file():
        print(f"No {NAME} in {folder}: BFCL is left out.")
        return
    questions = (folder / NAME).read_text().splitlines()[:COUNT]
    answers = (folder / "possible_answer" / NAME).read_text().splitlines()[:COUNT]
    for question, answer in zip(map(json.loads, questions), map(json.loads, answers), strict=True):
        tools = [{"type": "function", "function": each} for each in question["function"]]
        messages = [*question["question"][0], {"role": "assistant", "content": ""}]
        ((tool, allowed),) = answer["ground_truth"][0].items()
        yield Question(Dialogue("bfcl", messages, tools), tool, allowed)
