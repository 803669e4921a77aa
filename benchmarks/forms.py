"""Answers of a given form with tools and thoughts beside: every wire, whole and as a stream.

    python -m benchmarks.forms [--models NAME ...]

Each is asked greedily and at a temperature of 1. An answer is right if it is JSON by its schema,
or lawful calls where there are tools, if it is not cut, and if there is a thought apart from it
exactly where one was asked for.
"""

# jsonschema has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import jsonschema

from benchmarks.measure import machine, print_table, serve
from benchmarks.tool_calls import ENGINES, MODELS
from benchmarks.wire_words import Answer, Question, Turn
from benchmarks.wires import WIRES, Wire

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["city", "size"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the current weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}
BERN = (Turn("user", "What is the weather in Bern?"),)
PARIS = (Turn("user", "Give me JSON about Paris with city and size 7."),)
SAMPLINGS: tuple[dict[str, float], ...] = ({"temperature": 0}, {"temperature": 1, "seed": 7})


def fault(asked: Question, answer: Answer) -> str:
    """Return what is wrong with an answer; "": nothing."""
    if answer.status != 200:
        return answer.error
    if answer.is_cut:
        return f"cut: {answer.text}"
    if bool(answer.thought) != bool(asked.thinking):
        return f"a thought: {answer.thought!r}"
    try:
        if not answer.calls:
            jsonschema.validate(json.loads(answer.text), FORM)
        elif answer.text or not asked.tools:
            return f"beside its calls it says {answer.text!r}"
        for name, given in answer.calls:
            if name != WEATHER["name"]:
                return f"{name!r} is no tool"
            jsonschema.validate(json.loads(given), WEATHER["parameters"])
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{answer.text} {answer.calls}: {str(error).splitlines()[0]}"
    return ""


def questions() -> Iterator[Question]:
    every = product((BERN, PARIS), ((), (WEATHER,)), (None, True, False), SAMPLINGS)
    for turns, tools, thinking, sampling in every:
        yield Question(turns=turns, tools=tools, thinking=thinking, form=FORM, sampling=sampling)


def row(port: int, model: str, wire: Wire) -> list[str]:
    began = perf_counter()
    asked = right = called = thought = 0
    for question, stream in product(questions(), (False, True)):
        answer = wire.ask(port, model, question, stream=stream)
        asked += 1
        called += bool(answer.calls)
        thought += bool(answer.thought)
        if wrong := fault(question, answer):
            print(f"{model}, {wire.name}: {wrong[:300]}", flush=True)
        else:
            right += 1
    share = f"{100 * right / asked:.0f} % ({right}/{asked})"
    seconds = f"{perf_counter() - began:.0f}"
    return [ENGINES[model], wire.name, share, str(called), str(thought), seconds]


def rows(models: Sequence[str]) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
        return [row(server.port, model, wire) for model in models for wire in WIRES]


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge answers of a given form on every wire.")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    asked = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    found = rows(asked.models)
    head = ["engine", "wire", "right (goal 100 %)", "with calls", "with a thought", "seconds"]
    print_table(head, found)


if __name__ == "__main__":
    main()
