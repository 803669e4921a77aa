"""Pydantic AI: its models of OpenAI's chat and Responses, and of Ollama."""

import asyncio

from asked import KEY, MODEL, OPENAI_URL, QUESTION, WEATHER, Sum, tell
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=OPENAI_URL, api_key=KEY)
chat = OpenAIChatModel(MODEL, provider=provider)
responses = OpenAIResponsesModel(MODEL, provider=provider)
ollama = OllamaModel(MODEL, provider=OllamaProvider(base_url=OPENAI_URL, api_key=KEY))
SETTINGS = {"temperature": 0}


async def streamed(model):
    async with Agent(model, model_settings=SETTINGS).run_stream(QUESTION) as stream:
        return "".join([each async for each in stream.stream_text(delta=True)])


async def asked(model):
    return (await Agent(model, model_settings=SETTINGS).run(QUESTION)).output


def tool(model):
    """Ask, be called, give the result, and read the last word."""
    agent = Agent(model, model_settings=SETTINGS)
    cities = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        cities.append(city)
        return "Sunny, 20 degrees."

    result = agent.run_sync(WEATHER)
    [call] = [
        part
        for message in result.all_messages()
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    assert result.output
    return [call.tool_name, {"city": cities[0]}]


def structured(output_type):
    agent = Agent(chat, output_type=output_type, model_settings=SETTINGS)
    return agent.run_sync(QUESTION).output.model_dump()


answers = {}
for wire, model in (("", chat), ("responses_", responses), ("ollama_", ollama)):
    answers[f"{wire}chat"] = Agent(model, model_settings=SETTINGS).run_sync(QUESTION).output
    answers[f"{wire}async_chat"] = asyncio.run(asked(model))
    answers[f"{wire}async_stream"] = asyncio.run(streamed(model))
    answers[f"{wire}tool"] = tool(model)
answers["structured"] = structured(NativeOutput(Sum))
answers["structured_by_function"] = structured(Sum)
tell(**answers)
