"""Questions of the Berkeley Function-Calling Leaderboard, and whether an answer's calls are lawful.

The questions are not ours and not kept here: INGLENOOK_TESTDATA names the folder that has them.
"""

# jsonschema has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false, reportUnknownVariableType=false

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jsonschema

from benchmarks.measure import REPOSITORY

JSON = dict[str, Any]
FOLDER = Path(os.environ.get("INGLENOOK_TESTDATA", REPOSITORY.parent / "shared/testdata")) / "tools"
IRRELEVANCE = "irrelevance"
SETS = {
    "simple": "simple_python",
    "multiple": "multiple",
    "parallel": "parallel",
    IRRELEVANCE: IRRELEVANCE,
}
# How the leaderboard spells the types of JSON Schema.
_TYPES = {"dict": "object", "float": "number", "tuple": "array"}

Call = tuple[str, str]
"""A tool's name, and its arguments as the model wrote them."""


@dataclass(frozen=True, slots=True)
class ToolQuestion:
    id: str
    kind: str  # of ``SETS``
    messages: list[JSON]
    tools: list[JSON]  # as OpenAI's wire has them
    # The right calls: of each argument all values that are right, "" where it may be left out.
    right: tuple[tuple[str, dict[str, list[Any]]], ...] = ()

    def fault(self, calls: Sequence[Call], choice: str | JSON) -> str:
        """Return what is wrong with an answer's calls, by what the request allowed; "": nothing."""
        schemas = {each["function"]["name"]: each["function"]["parameters"] for each in self.tools}
        if isinstance(choice, dict):
            named = choice["function"]["name"]
            schemas = {named: schemas[named]}
        if not calls and choice != "auto":
            return "there is no call"
        for name, arguments in calls:
            if name not in schemas:
                return f"{name!r} is not allowed"
            try:
                jsonschema.Draft202012Validator(schemas[name]).validate(json.loads(arguments))
            except (ValueError, jsonschema.ValidationError) as error:
                return f"{name}({arguments}): {str(error).splitlines()[0]}"
        return ""

    def is_right(self, calls: Sequence[Call]) -> bool:
        """Whether the calls are, in any order, those that the leaderboard wants."""
        wanted = list(self.right)
        for name, arguments in calls:
            given = json.loads(arguments)
            found = next((each for each in wanted if _fits(each, name, given)), None)
            if found is None:
                return False
            wanted.remove(found)
        return not wanted


def tool_questions(kind: str, count: int) -> list[ToolQuestion]:
    """Return so many questions of a set, evenly spread over it."""
    lines = _lines(FOLDER / f"BFCL_v4_{SETS[kind]}.json")
    truths = FOLDER / "possible_answer" / f"BFCL_v4_{SETS[kind]}.json"
    answers = _lines(truths) if truths.is_file() else [None] * len(lines)
    places = [place * len(lines) // count for place in range(count)]
    return [_question(kind, lines[place], answers[place]) for place in places]


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _question(kind: str, asked: JSON, answer: JSON | None) -> ToolQuestion:
    truths: list[dict[str, Any]] = answer["ground_truth"] if answer else []
    return ToolQuestion(
        id=asked["id"],
        kind=kind,
        messages=asked["question"][0],
        tools=[{"type": "function", "function": _function(each)} for each in asked["function"]],
        right=tuple((name, given) for truth in truths for name, given in truth.items()),
    )


def _function(found: JSON) -> JSON:
    return {**found, "parameters": _schema(found["parameters"])}


def _schema(found: Any) -> Any:  # noqa: ANN401 - JSON is anything
    if isinstance(found, list):
        return [_schema(each) for each in cast("list[Any]", found)]
    if not isinstance(found, dict):
        return found
    members = cast("JSON", found).items()
    return {key: _type(key, each) for key, each in members if each != "any"}


def _type(key: str, found: Any) -> Any:  # noqa: ANN401
    return _TYPES.get(found, found) if key == "type" and isinstance(found, str) else _schema(found)


def _fits(wanted: tuple[str, dict[str, list[Any]]], name: str, given: JSON) -> bool:
    right_name, allowed = wanted
    return (
        name == right_name
        and given.keys() <= allowed.keys()
        and all(
            given[key] in values if key in given else "" in values
            for key, values in allowed.items()
        )
    )
