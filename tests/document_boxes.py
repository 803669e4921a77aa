"""One request for every box of the five documents, ticked or not, and what its answer shows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Answer = Any
Check = Callable[[Answer], bool]

_QUESTION = [{"role": "user", "content": "What is 2 plus 2?"}]
_WEATHER = {
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [
        {
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
    ],
}
_DIGIT = 19  # the id of a token, whichever


@dataclass(frozen=True)
class Box:
    """Fields beside the model, and what is true of the answer (of a stream: of its chunks)."""

    body: Mapping[str, Any]
    holds: Check


def _said(answer: Answer) -> str:
    return answer["choices"][0]["message"]["content"]


def _chat(holds: Check = lambda answer: bool(_said(answer)), **fields: Any) -> Box:
    return Box({"messages": _QUESTION, "temperature": 0, "max_tokens": 30} | fields, holds)


def _text(holds: Check = lambda answer: bool(answer["choices"][0]["text"]), **fields: Any) -> Box:
    return Box({"prompt": "The sun", "temperature": 0, "max_tokens": 8} | fields, holds)


def _vectors(count: int = 1, **fields: Any) -> Box:
    return Box({"input": "a hearth"} | fields, lambda answer: len(answer["data"]) == count)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "[", '"')) or text.strip()[:1].isdigit()


def _calls(answer: Answer) -> bool:
    [call] = answer["choices"][0]["message"]["tool_calls"]
    return call["function"]["name"] == "get_weather"


def _is_stream(chunks: Answer) -> bool:
    return len(chunks) > 2 and any(each["choices"][0]["finish_reason"] for each in chunks)


def _all_choices(count: int) -> Check:
    return lambda answer: [each["index"] for each in answer["choices"]] == list(range(count))


_JSON = {"response_format": {"type": "json_object"}}

CHAT = {
    "Chat completions": _chat(),
    "Streaming": _chat(_is_stream, stream=True),
    "JSON mode": _chat(lambda answer: _said(answer).lstrip().startswith("{"), **_JSON),
    "Reproducible outputs": _chat(seed=7, temperature=1),
    "Tools (streaming support coming soon)": _chat(_calls, **_WEATHER),
    "Logprobs": _chat(
        lambda answer: len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2,
        logprobs=True,
        top_logprobs=2,
    ),
    "model": _chat(),
    "messages": _chat(),
    "Text content": _chat(),
    "Array of content parts": _chat(
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is 2 plus 2?"}]}]
    ),
    "frequency_penalty": _chat(frequency_penalty=0.5),
    "presence_penalty": _chat(presence_penalty=0.5),
    "response_format": _chat(
        lambda answer: _said(answer) in ('"four"', '"five"'),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "sum", "schema": {"enum": ["four", "five"]}},
        },
    ),
    "seed": _chat(seed=7),
    "stop": _chat(lambda answer: _said(answer) == "2 + 2 ", stop=["= 4"]),
    "stream": _chat(_is_stream, stream=True),
    "temperature": _chat(temperature=0.7),
    "top_p": _chat(top_p=0.9),
    "max_tokens": _chat(
        lambda answer: (
            answer["usage"]["completion_tokens"] == 2
            and answer["choices"][0]["finish_reason"] == "length"
        ),
        max_tokens=2,
    ),
    "tools": _chat(_calls, **_WEATHER),
    "tool_choice": _chat(_calls, **_WEATHER, tool_choice="required"),
    "logit_bias": _chat(logit_bias={str(_DIGIT): -100}),
    "user": _chat(user="somebody"),
    "n": _chat(_all_choices(3), n=3),
}


def _seen(picture: str) -> Box:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    return _chat(messages=[{"role": "user", "content": parts}])


#: What needs a model that sees.
VISION = {
    "Vision": _seen("ENCODED"),
    "Image content": _seen("ENCODED"),
    "Base64 encoded image": _seen("ENCODED"),
    "Image URL": _seen("ADDRESS"),
}
CHAT |= VISION

COMPLETIONS = {
    "Completions": _text(),
    "Streaming": _text(_is_stream, stream=True),
    "JSON mode": _text(lambda answer: _is_json(answer["choices"][0]["text"]), **_JSON),
    "Reproducible outputs": _text(seed=7, temperature=1),
    "Logprobs": _text(
        lambda answer: len(answer["choices"][0]["logprobs"]["top_logprobs"][0]) == 2, logprobs=2
    ),
    "model": _text(),
    "prompt": _text(_all_choices(2), prompt=["The sun", "The moon"]),
    "frequency_penalty": _text(frequency_penalty=0.5),
    "presence_penalty": _text(presence_penalty=0.5),
    "seed": _text(seed=7),
    "stop": _text(lambda answer: "e" not in answer["choices"][0]["text"], stop=["e"]),
    "stream": _text(_is_stream, stream=True),
    "temperature": _text(temperature=0.7),
    "top_p": _text(top_p=0.9),
    "max_tokens": _text(lambda answer: answer["usage"]["completion_tokens"] == 2, max_tokens=2),
    "best_of": _text(_all_choices(1), best_of=2, temperature=1),
    "echo": _text(lambda answer: answer["choices"][0]["text"].startswith("The sun"), echo=True),
    "logit_bias": _text(logit_bias={str(_DIGIT): -100}),
    "user": _text(user="somebody"),
    "n": _text(_all_choices(2), n=2, temperature=1),
}
#: What needs a model that was trained to fill in the middle.
FILLS_IN = {"suffix": _text(suffix=" is warm.")}

EMBEDDINGS = {
    "model": _vectors(),
    "input": _vectors(),
    "string": _vectors(),
    "array of strings": _vectors(2, input=["a hearth", "a corner"]),
    "array of tokens": _vectors(input=[101, 2023, 102]),
    "array of token arrays": _vectors(2, input=[[101, 2023, 102], [101, 102]]),
    "encoding format": Box(
        {"input": "a hearth", "encoding_format": "base64"},
        lambda answer: isinstance(answer["data"][0]["embedding"], str),
    ),
    "dimensions": Box(
        {"input": "a hearth", "dimensions": 64},
        lambda answer: len(answer["data"][0]["embedding"]) == 64,
    ),
    "user": _vectors(user="somebody"),
}

BOXES = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
}
