"""LiteLLM: to our OpenAI's wire, and to our Ollama's."""

import asyncio
import json

import litellm
from asked import (
    EMBEDDER,
    HAS_EMBEDDER,
    KEY,
    MESSAGES,
    MODEL,
    OPENAI_URL,
    TEXT,
    URL,
    WEATHER,
    WEATHER_TOOL,
    Sum,
    tell,
)

OPENAI = {"model": f"openai/{MODEL}", "api_base": OPENAI_URL, "api_key": KEY, "temperature": 0}
OLLAMA = {"model": f"ollama_chat/{MODEL}", "api_base": URL, "temperature": 0}
ANTHROPIC = {"model": f"anthropic/{MODEL}", "api_base": URL, "api_key": KEY, "temperature": 0}


def said(chunks):
    return "".join(each.choices[0].delta.content or "" for each in chunks)


def chat(to):
    return litellm.completion(messages=MESSAGES, **to).choices[0].message.content


def stream(to):
    return said(litellm.completion(messages=MESSAGES, stream=True, **to))


async def async_chat(to):
    answer = await litellm.acompletion(messages=MESSAGES, **to)
    return answer.choices[0].message.content


async def async_stream(to):
    answer = await litellm.acompletion(messages=MESSAGES, stream=True, **to)
    return said([each async for each in answer])


def tool(to):
    answer = litellm.completion(
        messages=[{"role": "user", "content": WEATHER}], tools=[WEATHER_TOOL], **to
    )
    [call] = answer.choices[0].message.tool_calls
    return [call.function.name, json.loads(call.function.arguments)]


def structured(to):
    answer = litellm.completion(messages=MESSAGES, response_format=Sum, **to)
    return Sum.model_validate_json(answer.choices[0].message.content).model_dump()


async def both(to):
    return await async_chat(to), await async_stream(to)


answers = {}
for wire, to in (("", OPENAI), ("ollama_", OLLAMA), ("anthropic_", ANTHROPIC)):
    answers[f"{wire}chat"] = chat(to)
    answers[f"{wire}stream"] = stream(to)
    answers[f"{wire}async_chat"], answers[f"{wire}async_stream"] = asyncio.run(both(to))
    answers[f"{wire}tool"] = tool(to)
    if wire != "anthropic_":
        answers[f"{wire}structured"] = structured(to)
if HAS_EMBEDDER:
    embedded = litellm.embedding(
        model=f"openai/{EMBEDDER}", input=[TEXT], api_base=OPENAI_URL, api_key=KEY
    )
    answers["vector"] = len(embedded.data[0]["embedding"])
tell(**answers)
