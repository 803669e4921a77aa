"""What decoding costs a token, from its bytes to a delta: without tools, and with.

python -m benchmarks.decoding_cost [--rounds N]
"""

import argparse
import json
import time
from statistics import median

from benchmarks.measure import machine, print_table
from models.chat import Tool
from models.engine.decoder import Channel, Decoder, PlainText
from models.engine.speech import Speech
from models.events import TokenLogprob
from models.model_family import CALLS, THOUGHTS, ModelFamily

GOAL_PLAIN, GOAL_TOOLS = 20, 60  # microseconds
TOKENS = 2_000
PIECE_BYTES = 4
FAMILY = ModelFamily(CALLS[0], THOUGHTS[0])
TEXT = "So it goes on, with words and spaces; <b>some</b> tags.\n" * 300
ARGUMENTS = json.dumps({"path": "a/b.py", "text": "x = {'a': 1}\n" * 800})
WRITE = Tool(
    "write",
    parameters={"properties": {"path": {"type": "string"}, "text": {"type": "string"}}},
)
NUMBERS = Tool(
    "plot",
    parameters={"properties": {"values": {"type": "array", "items": {"type": "number"}}}},
)
PLOT = json.dumps({"name": "plot", "arguments": {"values": ["3.25"] * 2_000}})
CALL = f'<tool_call>\n{{"name": "write", "arguments": {ARGUMENTS}}}\n</tool_call>'


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what decoding costs a token.")
    parser.add_argument("--rounds", type=int, default=9)
    rounds: int = parser.parse_args().rounds
    print(f"{machine()}; {TOKENS} tokens, median of {rounds} rounds\n")
    rows = [
        ("text, no tools", GOAL_PLAIN, measure(TEXT, rounds, tools=False)),
        (
            "text, of a family that thinks",
            GOAL_PLAIN,
            measure(TEXT, rounds, tools=False, family=True),
        ),
        ("text, with tools", GOAL_TOOLS, measure(TEXT, rounds, tools=True)),
        ("a call", GOAL_TOOLS, measure(CALL, rounds, tools=True)),
        (
            "a call with numbers in quotes",
            GOAL_TOOLS,
            measure(f"<tool_call>{PLOT}</tool_call>", rounds, tools=True),
        ),
        ("a thought", GOAL_TOOLS, measure("<think>" + TEXT, rounds, tools=True)),
        (
            "text with log-probabilities",
            GOAL_TOOLS,
            measure(TEXT, rounds, tools=True, logprobs=True),
        ),
    ]
    print_table(
        ["what", "µs a token", "goal"],
        [[what, f"{microseconds:.1f}", f"≤ {goal}"] for what, goal, microseconds in rows],
    )


def measure(
    text: str, rounds: int, *, tools: bool, family: bool = False, logprobs: bool = False
) -> float:
    pieces = [text[at : at + PIECE_BYTES].encode() for at in range(0, len(text), PIECE_BYTES)][
        :TOKENS
    ]
    tokens = [(TokenLogprob(1, piece, -0.1),) if logprobs else () for piece in pieces]
    found: list[float] = []
    for _ in range(rounds):
        channel: Channel = _speech(tools=tools) if tools or family else PlainText()
        decoder = Decoder(("</never>",), channel)
        began = time.thread_time()
        for piece, token in zip(pieces, tokens, strict=True):
            decoder.feed(piece, None, token)
        found.append((time.thread_time() - began) / len(pieces) * 1e6)
    return median(found)


def _speech(*, tools: bool) -> Speech:
    return Speech(FAMILY, calls=tools, tools=(WRITE, NUMBERS))


if __name__ == "__main__":
    main()
