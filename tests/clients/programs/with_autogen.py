"""AutoGen from 0.4 on: its clients of OpenAI's API and of Ollama's, and two agents that talk."""

import asyncio
import json

from asked import KEY, MODEL, OPENAI_URL, QUESTION, URL, WEATHER, Sum, tell
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.ollama import OllamaChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient

INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


async def get_weather(city: str) -> str:
    return "Sunny, 20 degrees."


WEATHER_TOOL = FunctionTool(get_weather, description="Get the current weather in a city.")


def asked(text):
    return [UserMessage(content=text, source="user")]


async def of(client, wire):
    answers = {"async_chat": (await client.create(asked(QUESTION))).content}
    *pieces, whole = [each async for each in client.create_stream(asked(QUESTION))]
    assert "".join(pieces) == whole.content
    answers["async_stream"] = whole.content
    [call] = (await client.create(asked(WEATHER), tools=[WEATHER_TOOL])).content
    answers["tool"] = [call.name, json.loads(call.arguments)]
    schema = await client.create(asked(QUESTION), json_output=Sum)
    answers["structured"] = Sum.model_validate_json(schema.content).model_dump()
    return {f"{wire}{step}": answer for step, answer in answers.items()}


async def talk(client):
    """What the assistant says between two lines of the user's."""
    assistant = AssistantAgent("assistant", model_client=client, system_message=None)
    user = UserProxyAgent("user", input_func=lambda _prompt: QUESTION)
    team = RoundRobinGroupChat([assistant, user], termination_condition=MaxMessageTermination(4))
    result = await team.run(task="Hello!")
    said = [each for each in result.messages if isinstance(each, TextMessage)]
    assert [each.source for each in said[:3]] == ["user", "assistant", "user"]
    assert said[1].models_usage and said[1].models_usage.completion_tokens > 0
    return said[-1].content


async def main():
    openai = OpenAIChatCompletionClient(
        model=MODEL, base_url=OPENAI_URL, api_key=KEY, temperature=0, model_info=INFO
    )
    ollama = OllamaChatCompletionClient(
        model=MODEL, host=URL, options={"temperature": 0}, model_info=INFO
    )
    answers = await of(openai, "") | await of(ollama, "ollama_")
    answers["talk"] = await talk(openai)
    await openai.close()
    tell(**answers)


asyncio.run(main())
