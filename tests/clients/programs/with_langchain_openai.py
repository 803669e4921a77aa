"""LangChain's client of OpenAI's API: chat, tools, schemas, embeddings, and Responses."""

import asyncio

from asked import (
    EMBEDDER,
    HAS_EMBEDDER,
    KEY,
    MODEL,
    OPENAI_URL,
    QUESTION,
    TEXT,
    WEATHER,
    WEATHER_TOOL,
    Sum,
    tell,
)
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

chat = ChatOpenAI(model=MODEL, base_url=OPENAI_URL, api_key=KEY, temperature=0)
responses = ChatOpenAI(
    model=MODEL, base_url=OPENAI_URL, api_key=KEY, temperature=0, use_responses_api=True
)


async def asynchronous():
    answer = await chat.ainvoke(QUESTION)
    return answer.text, "".join([each.text async for each in chat.astream(QUESTION)])


answers = {}
answers["chat"] = chat.invoke(QUESTION).text
answers["stream"] = "".join(each.text for each in chat.stream(QUESTION))
answers["async_chat"], answers["async_stream"] = asyncio.run(asynchronous())
[call] = chat.bind_tools([WEATHER_TOOL]).invoke(WEATHER).tool_calls
answers["tool"] = [call["name"], call["args"]]
answers["structured"] = chat.with_structured_output(Sum).invoke(QUESTION).model_dump()
by_function = chat.with_structured_output(Sum, method="function_calling")
answers["structured_by_function"] = by_function.invoke(QUESTION).model_dump()
answers["responses_chat"] = responses.invoke(QUESTION).text
answers["responses_stream"] = "".join(each.text for each in responses.stream(QUESTION))
[call] = responses.bind_tools([WEATHER_TOOL]).invoke(WEATHER).tool_calls
answers["responses_tool"] = [call["name"], call["args"]]
if HAS_EMBEDDER:
    # Its default sends the ids of another tokenizer than the model's.
    embedder = OpenAIEmbeddings(
        model=EMBEDDER, base_url=OPENAI_URL, api_key=KEY, check_embedding_ctx_length=False
    )
    answers["vector"] = len(embedder.embed_query(TEXT))
tell(**answers)
