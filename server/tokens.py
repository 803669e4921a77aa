"""Prompts as tokens, for routes that run no model: off the loop, and few at a time."""

import asyncio

from models.chat import GenerateRequest
from server.streams import Engines

# Agents ask for dozens of counts at once, and each takes a thread that requests need too.
_MOST_AT_ONCE = 2


class Tokens:
    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)

    async def count(self, request: GenerateRequest) -> int:
        """Return the tokens of the prompt. Raises InferenceError."""
        async with self._turn:
            return await asyncio.to_thread(self._engines.count_tokens, request)
