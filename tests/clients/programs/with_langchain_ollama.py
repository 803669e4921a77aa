"""LangChain's client of Ollama's API."""

import asyncio

from asked import (
    EMBEDDER,
    HAS_EMBEDDER,
    MODEL,
    QUESTION,
    TEXT,
    URL,
    WEATHER,
    WEATHER_TOOL,
    Sum,
    tell,
)
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

chat = ChatOllama(model=MODEL, base_url=URL, temperature=0)
writer = OllamaLLM(model=MODEL, base_url=URL, temperature=0)


async def asynchronous():
    answer = await chat.ainvoke(QUESTION)
    return answer.text, "".join([each.text async for each in chat.astream(QUESTION)])


answers = {}
answers["chat"] = chat.invoke(QUESTION).text
answers["stream"] = "".join(each.text for each in chat.stream(QUESTION))
answers["async_chat"], answers["async_stream"] = asyncio.run(asynchronous())
answers["generate"] = writer.invoke(QUESTION)
[call] = chat.bind_tools([WEATHER_TOOL]).invoke(WEATHER).tool_calls
answers["tool"] = [call["name"], call["args"]]
answers["structured"] = chat.with_structured_output(Sum).invoke(QUESTION).model_dump()
if HAS_EMBEDDER:
    embedder = OllamaEmbeddings(model=EMBEDDER, base_url=URL)
    answers["vector"] = len(embedder.embed_query(TEXT))
tell(**answers)
