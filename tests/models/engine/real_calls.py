"""Calls that people would make: of the Berkeley leaderboard, with the tools that they name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from models.chat import Tool
from tests.conftest import TESTDATA

# How the leaderboard spells the types of JSON Schema.
_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
_SETS = ("simple_python", "live_simple", "multiple", "parallel")


@dataclass(frozen=True, slots=True)
class RealCall:
    tool: Tool
    arguments: dict[str, Any]


@cache
def real_calls(count: int) -> tuple[RealCall, ...]:
    """Return calls of so many different schemas, each as the leaderboard answers it."""
    found: dict[str, RealCall] = {}
    for kind in _SETS:
        for call in _calls(kind):
            found.setdefault(json.dumps(call.tool.parameters, sort_keys=True), call)
    # From all of them, so that no set is left out.
    calls = list(found.values())
    return tuple(calls[place * len(calls) // count] for place in range(count))


def _calls(kind: str) -> Iterator[RealCall]:
    folder = TESTDATA / "tools"
    questions = (folder / f"BFCL_v4_{kind}.json").read_text(encoding="utf-8").splitlines()
    answers = (folder / f"possible_answer/BFCL_v4_{kind}.json").read_text(encoding="utf-8")
    for question, answer in zip(questions, answers.splitlines(), strict=True):
        tools = {each["name"]: each for each in json.loads(question)["function"]}
        for truth in json.loads(answer)["ground_truth"]:
            ((name, given),) = truth.items()
            tool = tools[name]
            yield RealCall(
                Tool(name, tool["description"], _schema(tool["parameters"])), _chosen(given)
            )


def _schema(found: Any) -> Any:
    match found:
        case dict():
            return {key: _type(key, each) for key, each in found.items()}
        case list():
            return [_schema(each) for each in found]
        case _:
            return found


def _type(key: str, found: Any) -> Any:
    return _TYPES.get(found, found) if key == "type" and isinstance(found, str) else _schema(found)


def _chosen(given: Any) -> dict[str, Any]:
    """The first of the values that are right; "" stands for one that may be left out."""
    return {key: _first(values) for key, values in given.items() if values and values[0] != ""}


def _first(values: Any) -> Any:
    value = values[0] if isinstance(values, list) and values else values
    return _chosen(value) if isinstance(value, dict) and _lists(value) else value


def _lists(value: dict[str, Any]) -> bool:
    return all(isinstance(each, list) for each in value.values())
