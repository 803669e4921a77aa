"""LLM, as a library: its plugin for Ollama, and an OpenAI-compatible model of its own."""

import asyncio

import llm
from asked import KEY, MODEL, OPENAI_URL, QUESTION, WEATHER, Sum, tell
from llm.default_plugins.openai_models import AsyncChat, Chat

ABLE = {"can_stream": True, "supports_schema": True, "supports_tools": True}


def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return "Sunny, 20 degrees."


def tool(model):
    [call] = model.prompt(WEATHER, tools=[get_weather], temperature=0).tool_calls()
    return [call.name, call.arguments]


def structured(model):
    return Sum.model_validate_json(
        model.prompt(QUESTION, schema=Sum, temperature=0).text()
    ).model_dump()


async def asynchronous(model):
    answer = await model.prompt(QUESTION, temperature=0, stream=False).text()
    stream = "".join([each async for each in model.prompt(QUESTION, temperature=0)])
    return answer, stream


def of(model, async_model, wire):
    answers = {
        "chat": model.prompt(QUESTION, stream=False, temperature=0).text(),
        "stream": "".join(model.prompt(QUESTION, temperature=0)),
        "tool": tool(model),
        "structured": structured(model),
    }
    answers["async_chat"], answers["async_stream"] = asyncio.run(asynchronous(async_model))
    return {f"{wire}{step}": answer for step, answer in answers.items()}


def made(kind):
    model = kind("ours", model_name=MODEL, api_base=OPENAI_URL, **ABLE)
    model.key = KEY
    return model


tell(
    **of(made(Chat), made(AsyncChat), ""),
    **of(llm.get_model(f"ollama/{MODEL}"), llm.get_async_model(f"ollama/{MODEL}"), "ollama_"),
)
