"""Instructor: answers as values, by each of its ways to ask for one."""

import asyncio

import instructor
import openai
from asked import KEY, MESSAGES, MODEL, OPENAI_URL, Sum, tell

client = openai.OpenAI(base_url=OPENAI_URL, api_key=KEY)
async_client = openai.AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY)
ASKED = {"model": MODEL, "messages": MESSAGES, "temperature": 0, "response_model": Sum}


def structured(mode):
    asking = instructor.from_openai(client, mode=mode)
    return asking.chat.completions.create(**ASKED).model_dump()


async def asynchronous():
    asking = instructor.from_openai(async_client, mode=instructor.Mode.TOOLS)
    return (await asking.chat.completions.create(**ASKED)).model_dump()


partial = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
asked = {key: value for key, value in ASKED.items() if key != "response_model"}
*_, last = partial.chat.completions.create_partial(response_model=Sum, **asked)
tell(
    structured=structured(instructor.Mode.JSON_SCHEMA),
    structured_by_function=structured(instructor.Mode.TOOLS),
    structured_async=asyncio.run(asynchronous()),
    structured_stream=last.model_dump(),
)
