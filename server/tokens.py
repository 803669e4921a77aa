"""Prompts as tokens, for routes that run no model: off the loop, and few at a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from models.chat import GenerateRequest
from models.pictures import has_images
from models.spelling import Spelling
from server.streams import Engines

_Found = TypeVar("_Found")

# Agents ask for dozens of counts at once, and each takes a thread that requests need too.
_MOST_AT_ONCE = 2


class Tokens:
    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)
        # Who waits for a picture of a slow server keeps only such others waiting.
        self._turn_with_pictures = asyncio.Semaphore(_MOST_AT_ONCE)

    async def count(self, request: GenerateRequest) -> int:
        """Return the tokens of the prompt. Raises InferenceError."""
        async with self._turn_with_pictures if has_images(request) else self._turn:
            return await asyncio.to_thread(self._engines.count_tokens, request)

    async def spell(self, model: str, ask: Callable[[Spelling], _Found]) -> _Found:
        """Return what ``ask`` finds out of a model's tokens. Raises InferenceError."""
        async with self._turn:
            return await asyncio.to_thread(lambda: ask(self._engines.spelling(model)))
