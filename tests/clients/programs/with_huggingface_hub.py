"""The client of Hugging Face's inference, pointed at another address."""

import asyncio
import json

from asked import KEY, MESSAGES, MODEL, URL, WEATHER, WEATHER_TOOL, Sum, tell
from huggingface_hub import AsyncInferenceClient, InferenceClient

client = InferenceClient(base_url=URL, api_key=KEY)
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "sum", "schema": Sum.model_json_schema(), "strict": True},
}


async def asynchronous():
    asking = AsyncInferenceClient(base_url=URL, api_key=KEY)
    answer = await asking.chat_completion(MESSAGES, model=MODEL, temperature=0)
    stream = await asking.chat_completion(MESSAGES, model=MODEL, temperature=0, stream=True)
    said = [each.choices[0].delta.content or "" async for each in stream]
    return answer.choices[0].message.content, "".join(said)


answers = {}
answer = client.chat_completion(MESSAGES, model=MODEL, temperature=0)
answers["chat"] = answer.choices[0].message.content
stream = client.chat.completions.create(messages=MESSAGES, model=MODEL, temperature=0, stream=True)
answers["stream"] = "".join(each.choices[0].delta.content or "" for each in stream)
answers["async_chat"], answers["async_stream"] = asyncio.run(asynchronous())
answer = client.chat_completion(
    [{"role": "user", "content": WEATHER}], model=MODEL, temperature=0, tools=[WEATHER_TOOL]
)
[call] = answer.choices[0].message.tool_calls
arguments = call.function.arguments
answers["tool"] = [
    call.function.name,
    json.loads(arguments) if isinstance(arguments, str) else arguments,
]
answer = client.chat_completion(MESSAGES, model=MODEL, temperature=0, response_format=SCHEMA)
content = answer.choices[0].message.content
answers["structured"] = Sum.model_validate_json(content).model_dump()
tell(**answers)
