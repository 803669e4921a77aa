"""AutoGen: an agent that calls two tools and answers; the model is named after the URL."""

import asyncio
import sys

from asked import KEY, OPENAI_URL, STARTED, SUNNY, TASK, URL, tell
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.ollama import OllamaChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient

MODEL = sys.argv[2]
INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


async def loop(client):
    called = []

    async def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        called.append(["get_weather", {"city": city}])
        return SUNNY

    async def set_timer(minutes: int) -> str:
        """Start a timer."""
        called.append(["set_timer", {"minutes": minutes}])
        return STARTED

    agent = AssistantAgent(
        "assistant",
        model_client=client,
        tools=[get_weather, set_timer],
        system_message=None,
        max_tool_iterations=5,
        reflect_on_tool_use=True,
    )
    result = await agent.run(task=TASK)
    await client.close()
    return {"calls": called, "answer": result.messages[-1].content}


async def main():
    openai = OpenAIChatCompletionClient(
        model=MODEL, base_url=OPENAI_URL, api_key=KEY, temperature=0, model_info=INFO
    )
    ollama = OllamaChatCompletionClient(
        model=MODEL, host=URL, options={"temperature": 0}, model_info=INFO
    )
    tell(chat=await loop(openai), ollama=await loop(ollama))


asyncio.run(main())
