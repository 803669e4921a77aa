"""Pydantic AI: an agent that calls two tools and answers; the model is named after the URL."""

import sys

from asked import KEY, OPENAI_URL, STARTED, SUNNY, TASK, tell
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

MODEL = sys.argv[2]
provider = OpenAIProvider(base_url=OPENAI_URL, api_key=KEY)


def loop(model):
    called = []
    agent = Agent(model, model_settings={"temperature": 0})

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        called.append(["get_weather", {"city": city}])
        return SUNNY

    @agent.tool_plain
    def set_timer(minutes: int) -> str:
        """Start a timer."""
        called.append(["set_timer", {"minutes": minutes}])
        return STARTED

    return {"answer": agent.run_sync(TASK).output, "calls": sorted(called)}


tell(
    chat=loop(OpenAIChatModel(MODEL, provider=provider)),
    responses=loop(OpenAIResponsesModel(MODEL, provider=provider)),
)
