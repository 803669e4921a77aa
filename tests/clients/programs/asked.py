"""What every program here asks, and how it tells what it was answered: one line of JSON."""

import json
import sys
from typing import Any, Literal

from pydantic import BaseModel

URL = sys.argv[1]
OPENAI_URL = f"{URL}/v1"
KEY = "none"
MODEL = "pocket"
EMBEDDER = "all-minilm"  # only where it is said to be there
HAS_EMBEDDER = "--embedder" in sys.argv

QUESTION = "What is 2 plus 2?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
WEATHER = "What is the weather in Paris?"
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
TEXT = "a hearth"

# A task for an agent with two tools, which calls both, reads what they say, and answers.
TASK = "What is the weather in Paris? Also: set a timer for 12 minutes."
SUNNY = '{"weather": "sunny"}'
STARTED = '{"status": "done"}'


class Sum(BaseModel):
    """Few values, so that the smallest of models comes to an end."""

    operation: Literal["plus"]
    result: Literal[3, 4]


def tell(**answers: Any) -> None:
    print(json.dumps(answers))
