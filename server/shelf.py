"""The installed models, as routes ask for them: the disk is read off the loop."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from models.model import Model


class Store(Protocol):
    """The models on this disk, as ``models.store.Store`` has them."""

    def list(self) -> Sequence[Model]: ...
    def find(self, name: str) -> Model:
        """Raises ModelNotFound, InvalidModelName, LoadFailed."""
        ...


class Shelf:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> Sequence[Model]:
        return await asyncio.to_thread(self._store.list)

    async def find(self, name: str) -> Model:
        """Raises ModelNotFound, InvalidModelName, LoadFailed."""
        return await asyncio.to_thread(self._store.find, name)
