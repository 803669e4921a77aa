"""What many tools cost before the first token: their grammar, made, checked and begun.

python -m benchmarks.many_tools [--count N ...]

Needs the real tools of the tests' data.
"""

import argparse
import logging
import time
from contextlib import closing

from benchmarks.measure import machine, print_table
from models import chat
from models.chat import GenerateRequest, Tool, ToolChoice
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_maker import GrammarMaker
from models.engine.grammar_process import GrammarChild
from models.model_family import family_of
from tests.models.engine.real_calls import real_calls

FAMILIES = {"JSON": "<tool_call>arguments", "XML": "<tool_call> <function= <parameter="}
TAGS = {"<tool_call>": 4, "</tool_call>": 5}


def main() -> None:
    logging.disable()  # it tells of each tool that cannot be obeyed
    parser = argparse.ArgumentParser(description="Measure what many tools cost.")
    parser.add_argument("--count", type=int, nargs="*", default=[30, 100, 200, 400])
    rows: list[list[str]] = []
    for name in FAMILIES:
        for count in parser.parse_args().count:
            for mode in ("auto", "required"):
                rows.append([name, str(count), mode, *measure(name, count, mode)])
    print(f"{machine()}\n")
    print_table(["family", "tools", "tool_choice", "first s", "again s", "begun s", "kB"], rows)


def measure(family: str, count: int, mode: str) -> list[str]:
    """Return seconds for the first request and the next, and to begin a sequence."""
    tools = tuple(
        Tool(f"{call.tool.name}_{place}", call.tool.description, call.tool.parameters)
        for place, call in enumerate(real_calls(count))
    )
    choice = ToolChoice("required" if mode == "required" else "auto")
    request = GenerateRequest(model="x", prompt=(chat.user("Hi"),), tools=tools, tool_choice=choice)
    with closing(GrammarMaker(lambda: Tokens((2,), tags=TAGS))) as maker:
        maker.make(
            GenerateRequest(model="x", prompt="a", tools=tools[:1]),
            [1],
            family_of(FAMILIES[family]),
        )
        took: list[float] = []
        made: CompiledGrammar | None = None
        for _ in range(2):
            began = time.monotonic()
            try:
                made = maker.make(request, [1], family_of(FAMILIES[family]))
            except Exception as error:
                print(family, count, mode, error)
            took.append(time.monotonic() - began)
    if made is None:
        return [*(f"{each:.2f}" for each in took), "refused", ""]
    return [*(f"{each:.2f}" for each in took), f"{begun(made):.2f}", f"{len(made.lark) // 1000}"]


def begun(made: CompiledGrammar) -> float:
    """Return how long the process that has a vocabulary takes for the first mask."""
    tokens = [bytes([each]) for each in range(256)]
    config = {"special": [2, 4, 5], "end": [2]}
    with closing(GrammarChild(config, tokens=tokens)) as child:
        began = time.monotonic()
        child.tell([0, made.tail or made.lark])
        child.read(9, 60.0)
        return time.monotonic() - began


if __name__ == "__main__":
    main()
