"""Whether the client libraries of every wire get the same calls: one after the other, greedily.

    python -m benchmarks.same_calls [--count 50] [--sets SET ...] [--models NAME ...]

Of each question that has a tool a call is required, by name in every other, and all are asked once
more with a free choice, since Ollama's wire knows no other. What OpenAI's client gets is what the
others are to get; where the model comes to no end there, nothing is compared. The AI SDK is asked
where its packages are installed (``make clients``).
"""

# Ollama's library leaves some types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import anthropic
import ollama
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from benchmarks.measure import JSON, REPOSITORY, machine, print_table, serve
from benchmarks.tool_calls import ENGINES, MODELS, choice_for
from benchmarks.tool_questions import IRRELEVANCE, SETS, ToolQuestion, tool_questions
from tests.node import NODE

Asked = tuple[ToolQuestion, str | JSON]  # with its ``tool_choice``
Calls = list[list[Any]]  # each a name, and its arguments
MAX_TOKENS = 100
PROGRAM = REPOSITORY / "tests/clients/programs/ai_sdk_tools.mjs"
PACKAGES = REPOSITORY / "tests/clients/node_modules"


def all_asked(kinds: Sequence[str], count: int) -> list[Asked]:
    """Return so many questions of each set, with a call required and with a free choice."""
    found = [
        (each, place)
        for first, kind in enumerate(kinds)
        for place, each in enumerate(tool_questions(kind, count), first)
    ]
    required = [
        (each, choice_for(each, place)) for each, place in found if each.kind != IRRELEVANCE
    ]
    return [*required, *((each, "auto") for each, _ in found)]


def by_openai(
    client: openai.OpenAI, model: str, question: ToolQuestion, choice: str | JSON
) -> Calls | None:
    """Return None where the model comes to no end."""
    asked: Any = {"messages": question.messages, "tools": question.tools, "tool_choice": choice}
    create: Any = client.chat.completions.create  # of which of its kinds, the body tells
    reply: ChatCompletion = create(model=model, temperature=0, max_tokens=MAX_TOKENS, **asked)
    (said,) = reply.choices
    if said.finish_reason == "length":
        return None
    return [
        [call.function.name, json.loads(call.function.arguments)]
        for call in said.message.tool_calls or ()
        if call.type == "function"
    ]


def by_anthropic(
    client: anthropic.Anthropic, model: str, question: ToolQuestion, choice: str | JSON
) -> Calls:
    kind: JSON = {"type": "any" if choice == "required" else "auto"}
    if isinstance(choice, dict):
        kind = {"type": "tool", "name": choice["function"]["name"]}
    tools = [
        {
            "name": each["function"]["name"],
            "description": each["function"]["description"],
            "input_schema": each["function"]["parameters"],
        }
        for each in question.tools
    ]
    asked: Any = {"messages": question.messages, "tools": tools, "tool_choice": kind}
    create: Any = client.messages.create
    extra = {"temperature": 0}
    reply: Message = create(model=model, max_tokens=MAX_TOKENS, extra_body=extra, **asked)
    return [[each.name, each.input] for each in reply.content if each.type == "tool_use"]


def by_ollama(
    client: ollama.Client, model: str, question: ToolQuestion, choice: str | JSON
) -> Calls | None:
    """Return None where a call is required, which its wire cannot say."""
    if choice != "auto":
        return None
    chat: Any = client.chat
    options = {"temperature": 0, "num_predict": MAX_TOKENS}
    reply: ollama.ChatResponse = chat(
        model=model, messages=question.messages, tools=question.tools, options=options
    )
    return [
        [call.function.name, dict(call.function.arguments)]
        for call in reply.message.tool_calls or ()
    ]


def body_of(question: ToolQuestion, choice: str | JSON) -> JSON:
    """Return a question as the AI SDK's program reads it."""
    return {
        "question": question.messages,
        "tools": question.tools,
        "choice": choice,
        "max_tokens": MAX_TOKENS,
    }


def by_ai_sdk(
    url: str, model: str, asked: Sequence[Asked], folder: Path
) -> dict[str, list[Calls | None]]:
    """Return what each of its providers gets; {} where it is not installed."""
    if not PACKAGES.is_dir():
        return {}
    file = folder / "questions.json"
    file.write_text(json.dumps([body_of(*each) for each in asked]), encoding="utf-8")
    told = subprocess.run(
        [NODE, PROGRAM, url, model, file], stdout=subprocess.PIPE, text=True, check=True
    )
    found: Mapping[str, list[Calls | None]] = json.loads(told.stdout.splitlines()[-1])
    return {f"AI SDK, {wire}": each for wire, each in found.items()}


def rows(model: str, kind: str, count: int) -> Iterator[list[str]]:
    asked = all_asked([kind], count)
    with tempfile.TemporaryDirectory() as home, serve(Path(home)) as server:
        url = f"http://127.0.0.1:{server.port}"
        of_ollama = ollama.Client(host=url)
        began = perf_counter()
        with (
            openai.OpenAI(base_url=f"{url}/v1", api_key="none") as of_openai,
            anthropic.Anthropic(base_url=url, api_key="none") as of_anthropic,
            of_ollama,
        ):
            wanted = [by_openai(of_openai, model, *each) for each in asked]
            told: dict[str, list[Calls | None]] = {
                "anthropic": [by_anthropic(of_anthropic, model, *each) for each in asked],
                "ollama": [by_ollama(of_ollama, model, *each) for each in asked],
            }
        told |= by_ai_sdk(url, model, asked, Path(home))
        seconds = f"{perf_counter() - began:.0f}"
    for client, calls in told.items():
        yield [ENGINES[model], kind, client, *_compared(client, asked, wanted, calls), seconds]


def _compared(
    client: str,
    asked: Sequence[Asked],
    wanted: Sequence[Calls | None],
    told: Sequence[Calls | None],
) -> tuple[str, str, str]:
    """Return how many answers are the same, how many have calls, how many came to no end."""
    same = called = endless = others = 0
    for (question, choice), right, got in zip(asked, wanted, told, strict=True):
        if got is None:  # not asked
            continue
        if right is None:
            endless += 1
            continue
        others += 1
        called += bool(right)
        same += got == right
        if got != right:
            print(f"{client}, {question.id}, {choice}: {got}, and not {right}", flush=True)
    return f"{same}/{others}", str(called), str(endless)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask the same through every client library.")
    parser.add_argument("--count", type=int, default=50, help="questions of each set")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    asked = parser.parse_args()
    print(f"{machine()}; {asked.count} questions of each set\n", flush=True)
    found = [
        row
        for model in asked.models
        for kind in asked.sets
        for row in rows(model, kind, asked.count)
    ]
    print_table(
        ["engine", "set", "client", "the same (goal: all)", "with calls", "no end", "seconds"],
        found,
    )


if __name__ == "__main__":
    main()
