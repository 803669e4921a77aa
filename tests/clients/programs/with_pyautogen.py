"""AutoGen before 0.4, whose module is ``autogen``: an assistant that answers, and calls.

It can stream only where it may download the vocabulary of another model, to count with.
"""

import asyncio
import contextlib
import json
import sys

from asked import KEY, MESSAGES, MODEL, OPENAI_URL, QUESTION, WEATHER, tell
from autogen import AssistantAgent, UserProxyAgent, register_function

ASKED = {
    "config_list": [{"model": MODEL, "base_url": OPENAI_URL, "api_key": KEY, "price": [0, 0]}],
    "temperature": 0,
    "cache_seed": None,
}


def assistant():
    return AssistantAgent("assistant", system_message="", llm_config=ASKED)


def user():
    return UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)


def get_weather(city: str) -> str:
    return "Sunny, 20 degrees."


def tool():
    """Ask, be called, give the result, and read the last word."""
    caller, executor = assistant(), user()
    register_function(
        get_weather,
        caller=caller,
        executor=executor,
        description="Get the current weather in a city.",
    )
    talk = executor.initiate_chat(caller, message=WEATHER, max_turns=2)
    [call] = talk.chat_history[1]["tool_calls"]
    assert talk.chat_history[-1]["content"]
    return [call["function"]["name"], json.loads(call["function"]["arguments"])]


answers = {}
with contextlib.redirect_stdout(sys.stderr):  # it prints every word of every talk
    answers["chat"] = assistant().generate_reply(MESSAGES)
    answers["async_chat"] = asyncio.run(assistant().a_generate_reply(MESSAGES))
    talk = user().initiate_chat(assistant(), message=QUESTION, max_turns=1)
    answers["talk"] = talk.chat_history[-1]["content"]
    answers["tool"] = tool()
tell(**answers)
