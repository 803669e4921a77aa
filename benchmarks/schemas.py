"""How many answers are what a JSON Schema asks for: on both engines, by two kinds of models.

    python -m benchmarks.schemas [--count N] [--start N] [--seed N] [--models NAME ...]

A run can be done in parts: ``--start`` passes over the first of the same schemas.

Schemas are drawn (``schema_generator.py``), and each answer is judged by ``jsonschema``, with
formats. An answer that is cut counts as wrong, and a refusal too, unless what it names is on
the list of what is not supported (``models/engine/grammar_limits.py``).
"""

# jsonschema has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import argparse
import json
import queue
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import jsonschema

from app.services import open_everything
from benchmarks.measure import machine, print_table
from benchmarks.random_models import TINY, write_gguf, write_mlx
from benchmarks.schema_generator import FORMATS, Generator
from models import chat
from models.chat import GenerateRequest, JsonSchema, Origin, SamplingParams
from models.engine.grammar_limits import (
    UNSUPPORTED_CASES,
    UNSUPPORTED_FORMATS,
    UNSUPPORTED_KEYWORDS,
)
from models.engine.grammar_numbers import Schema
from models.errors import InvalidRequest
from models.events import Event, Failed, Finished, FinishReason, TextDelta
from models.residency import Residency

MODELS = ("pocket:latest", "pocket:mlx", "random-gguf", "random-mlx")
AT_ONCE = 8
MAX_TOKENS = 1800
QUESTION = "Write a JSON value."


@dataclass(frozen=True)
class Outcome:
    kind: str  # "right", "wrong", "cut", "refused", "listed", "failed"
    schema: Schema
    words: str  # the answer, or the reason


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge answers by their schemas.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    arguments = parser.parse_args()
    start: int = arguments.start
    generator = Generator(arguments.seed)
    schemas = [generator.schema() for _ in range(start + arguments.count)][start:]
    print(f"{machine()}; {len(schemas)} schemas from {start} on\n", flush=True)
    drawn = sorted(generator.used.items(), key=lambda each: -each[1])
    print("Drawn:", ", ".join(f"{key} ({times})" for key, times in drawn))
    judged = jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers
    if missing := set(FORMATS) - judged.keys():
        parser.error(f"install jsonschema[format-nongpl]: nothing here judges {sorted(missing)}")
    print("Not supported:", ", ".join(sorted(UNSUPPORTED_KEYWORDS)))
    print("Not supported formats:", ", ".join(sorted(UNSUPPORTED_FORMATS)))
    print("Not supported cases:", "; ".join(UNSUPPORTED_CASES), end="\n\n")
    with (
        tempfile.TemporaryDirectory() as folder,
        open_everything(Path(folder) / "home") as services,
    ):
        write_gguf(Path(folder) / "random-gguf.gguf", TINY)
        write_mlx(Path(folder) / "random-mlx", TINY)
        services.store.import_path(Path(folder) / "random-gguf.gguf", "random-gguf")
        services.store.import_path(Path(folder) / "random-mlx", "random-mlx")
        rows: list[list[str]] = []
        for model in arguments.models:
            began = perf_counter()
            outcomes = list(answers(services.residency, model, schemas, start))
            rows.append(row(model, outcomes, perf_counter() - began))
            tell(model, outcomes)
    print_table(
        ["model", "right (goal 100 %)", "wrong", "cut", "refused", "failed", "seconds"], rows
    )


def answers(
    residency: Residency, model: str, schemas: Iterable[Schema], first_seed: int = 0
) -> list[Outcome]:
    """Have a model answer each schema, with a seed of its own, and judge what it says."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [
            pool.submit(_answer, residency, model, schema, seed)
            for seed, schema in enumerate(schemas, first_seed)
        ]
        return [each.result() for each in asked]


def _answer(residency: Residency, model: str, schema: Schema, seed: int) -> Outcome:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    greedy = seed % 2 == 0
    request = GenerateRequest(
        model=model,
        prompt=(chat.user(QUESTION),),
        constraint=JsonSchema(schema),
        sampling=SamplingParams(temperature=0.0 if greedy else 1.0, seed=seed, repeat_penalty=1.0),
        max_tokens=MAX_TOKENS,
    )
    residency.submit(request, events.put, origin=Origin("command"))
    text = ""
    while True:
        match events.get(timeout=120):
            case TextDelta(said):
                text += said
            case Finished(reason):
                return _judged(schema, text, reason)
            case Failed(InvalidRequest() as error):
                listed = "is not supported" in str(error) or "supported only" in str(error)
                return Outcome("listed" if listed else "refused", schema, str(error))
            case Failed(error):
                return Outcome("failed", schema, str(error))
            case _:
                pass


def _judged(schema: Schema, text: str, reason: FinishReason) -> Outcome:
    if reason is not FinishReason.END_OF_TURN:
        return Outcome("cut", schema, text)
    kind = jsonschema.Draft202012Validator
    try:
        kind(schema, format_checker=kind.FORMAT_CHECKER).validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError) as error:
        return Outcome("wrong", schema, f"{text}: {str(error).splitlines()[0]}")
    return Outcome("right", schema, text)


def row(model: str, outcomes: list[Outcome], seconds: float) -> list[str]:
    found = Counter(each.kind for each in outcomes)
    judged = len(outcomes) - found["listed"]
    right = f"{100 * found['right'] / max(1, judged):.1f} %"
    kinds = ("wrong", "cut", "refused", "failed")
    return [model, right, *(str(found[kind]) for kind in kinds), f"{seconds:.0f}"]


def tell(model: str, outcomes: list[Outcome]) -> None:
    for each in outcomes:
        if each.kind != "right":
            print(
                f"{model}: {each.kind}: {each.words[:300]}\n  {json.dumps(each.schema)[:600]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
