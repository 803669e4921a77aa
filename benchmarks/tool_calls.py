"""Whether every call that is required names an allowed tool and fits its schema: on both engines.

    python -m benchmarks.tool_calls [--count 50] [--greedy] [--models NAME ...] [--sets SET ...]

So many questions of each of four sets of the Berkeley leaderboard go to ``ingle serve`` through
OpenAI's client. Where a tool fits, a call is required, in every other question of a tool by its
name; a call that is cut counts as wrong. Where none fits, the model may choose, greedily.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from benchmarks.measure import JSON, machine, print_table, serve
from benchmarks.tool_questions import IRRELEVANCE, SETS, Call, ToolQuestion, tool_questions

MODELS = ("pocket:latest", "pocket:mlx")
ENGINES = {"pocket:latest": "llama.cpp", "pocket:mlx": "MLX"}
AT_ONCE = 8
MAX_TOKENS = 500
GREEDY: JSON = {"temperature": 0}
# The smallest of models goes round in circles, and then a call has no end: what it says again
# costs it more each time, and the ends of strings and lists cost it less.
_ENDS = '" ", "} "}} "}}} "}, "}}, "] "], "]} "]}} ] ], ]}}'.split()  # noqa: SIM905  # each a token
SAMPLING: JSON = {
    "temperature": 0,
    "logit_bias": dict.fromkeys(_ENDS, 8),
    "extra_body": {
        "dry_multiplier": 1,
        "dry_base": 1.75,
        "dry_allowed_length": 2,
        "dry_penalty_last_n": -1,
        "dry_sequence_breakers": ["\n"],
    },
}


@dataclass(frozen=True, slots=True)
class Outcome:
    question: ToolQuestion
    calls: tuple[Call, ...]
    fault: str  # "": every call is lawful, and none is missing


def choice_for(question: ToolQuestion, place: int) -> str | JSON:
    """Return the ``tool_choice`` of the question at a place of its set."""
    if question.kind == IRRELEVANCE:
        return "auto"
    if place % 2 == 0:
        return "required"
    return {"type": "function", "function": {"name": question.right[0][0]}}


def ask(
    client: openai.OpenAI, model: str, question: ToolQuestion, choice: str | JSON, sampling: JSON
) -> Outcome:
    """Have one question answered, and judge the calls."""
    asked: Any = {
        "messages": question.messages,
        "tools": question.tools,
        "tool_choice": choice,
        "parallel_tool_calls": question.kind in ("parallel", IRRELEVANCE),
        "max_tokens": MAX_TOKENS,
        **sampling,
    }
    create: Any = client.chat.completions.create  # of which of its kinds, the body tells
    try:
        reply: ChatCompletion = create(model=model, **asked)
    except openai.APIError as error:
        return Outcome(question, (), f"refused: {error}")
    (said,) = reply.choices
    calls = tuple(
        (call.function.name, call.function.arguments)
        for call in said.message.tool_calls or ()
        if call.type == "function"
    )
    if said.finish_reason == "length":
        return Outcome(question, calls, f"cut: {calls[-1:]}")
    return Outcome(question, calls, question.fault(calls, choice))


def answers(
    client: openai.OpenAI, model: str, questions: list[ToolQuestion], sampling: JSON
) -> list[Outcome]:
    def one(place: int) -> Outcome:
        question = questions[place]
        choice = choice_for(question, place)
        return ask(client, model, question, choice, {**sampling, "seed": place})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(len(questions))))


def row(model: str, kind: str, outcomes: list[Outcome], seconds: float) -> list[str]:
    lawful = sum(not each.fault for each in outcomes)
    called = Counter(bool(each.calls) for each in outcomes)[True]
    right = sum(not each.fault and each.question.is_right(each.calls) for each in outcomes)
    share = f"{100 * lawful / len(outcomes):.0f} % ({lawful}/{len(outcomes)})"
    as_wanted = f"{right}" if kind != IRRELEVANCE else f"{len(outcomes) - called}"
    return [ENGINES[model], kind, share, str(called), as_wanted, f"{seconds:.0f}"]


def rows(models: list[str], kinds: list[str], count: int, sampling: JSON) -> Iterator[list[str]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder)) as server,
        openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none") as client,
    ):
        for model, kind in product(models, kinds):
            began = perf_counter()
            drawn = GREEDY if kind == IRRELEVANCE else sampling
            outcomes = answers(client, model, tool_questions(kind, count), drawn)
            for each in outcomes:
                if each.fault:
                    print(f"{model}: {each.question.id}: {each.fault[:400]}", flush=True)
            yield row(model, kind, outcomes, perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge tool calls by what was allowed.")
    parser.add_argument("--count", type=int, default=50, help="questions of each set")
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="draw the likeliest tokens, and let it go round in circles",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    asked = parser.parse_args()
    print(f"{machine()}; {asked.count} questions of each set\n", flush=True)
    sampling = GREEDY if asked.greedy else SAMPLING
    found = list(rows(asked.models, asked.sets, asked.count, sampling))
    print_table(
        ["engine", "set", "lawful (goal 100 %)", "answers with calls", "as wanted", "seconds"],
        found,
    )


if __name__ == "__main__":
    main()
