"""What is kept of responses and conversations, as routes ask for it, off the loop."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from models.errors import InvalidRequest
from models.records.conversations import Conversations, KeptConversation
from models.records.responses import KeptResponse, Responses
from models.records.responses import NotThere as ChainBroken
from server.faults import NotThere, PreviousNotThere
from server.fields import Json
from server.formats.openai_responses.requests import Draft, Kept, Wanted

_UNFINISHED = ("queued", "in_progress")


class Records(Protocol):
    """As ``models.records.records.Records`` has them."""

    @property
    def responses(self) -> Responses: ...
    @property
    def conversations(self) -> Conversations: ...


class Archive:
    def __init__(self, records: Records) -> None:
        self._responses = records.responses
        self._conversations = records.conversations

    async def look_up(self, draft: Draft) -> Kept:
        """Return what a request goes on from and refers to.

        Raises NotThere, and InvalidRequest where that is not finished yet.
        """
        before: Sequence[Json] = ()
        if draft.previous:
            before = await self._said_until(draft.previous)
        elif draft.conversation:
            before = await self.items(draft.conversation)
        return Kept(before, await self.referred(draft))

    async def referred(self, draft: Draft) -> dict[str, Json]:
        if not draft.references:
            return {}
        return await asyncio.wrap_future(self._responses.items(draft.references))

    async def _said_until(self, id: str) -> Sequence[Json]:
        kept = await asyncio.wrap_future(self._responses.get(id))
        if kept and kept.body["status"] in _UNFINISHED:
            raise InvalidRequest(
                f"Response '{id[:80]}' has not ended yet.", field="previous_response_id"
            )
        try:
            return await asyncio.wrap_future(self._responses.conversation(id))
        except ChainBroken as error:
            raise previous_not_there(error.id) from None

    # -- Responses -------------------------------------------------------------

    def keep(self, wanted: Wanted, body: Json, events: Sequence[Json] = ()) -> None:
        """Keep a response as it stands. It is there for whoever asks from now on."""
        running = body["status"] in _UNFINISHED
        if wanted.store:
            self._responses.put(
                KeptResponse(
                    body=body,
                    input=wanted.items,
                    previous=wanted.previous,
                    running=running,
                    events=events,
                )
            )
        if wanted.conversation and body["status"] in ("completed", "incomplete"):
            self._conversations.add(wanted.conversation, [*wanted.items, *body["output"]])

    async def response(self, id: str) -> KeptResponse:
        """Raises NotThere."""
        kept = await asyncio.wrap_future(self._responses.get(id))
        if kept is None:
            raise _not_there("Response", id)
        return kept

    async def delete(self, id: str) -> None:
        """Raises NotThere."""
        if not await asyncio.wrap_future(self._responses.delete(id)):
            raise _not_there("Response", id)

    async def input_of(self, id: str) -> list[Json]:
        """Return the items that a response was made of, those of its chain included.

        Raises NotThere.
        """
        kept = await self.response(id)
        before = await self._said_until(kept.previous) if kept.previous else ()
        return [*before, *kept.input]

    # -- Conversations ---------------------------------------------------------

    async def begin(self, metadata: Json, items: Sequence[Json]) -> KeptConversation:
        return await asyncio.wrap_future(self._conversations.begin(metadata, items))

    async def conversation(self, id: str) -> KeptConversation:
        """Raises NotThere."""
        kept = await asyncio.wrap_future(self._conversations.get(id))
        if kept is None:
            raise _not_there("Conversation", id)
        return kept

    async def change(self, id: str, metadata: Json) -> KeptConversation:
        """Raises NotThere."""
        await asyncio.wrap_future(self._conversations.change(id, metadata))
        return await self.conversation(id)

    async def delete_conversation(self, id: str) -> None:
        """Raises NotThere."""
        if not await asyncio.wrap_future(self._conversations.delete(id)):
            raise _not_there("Conversation", id)

    async def items(self, id: str) -> list[Json]:
        """Raises NotThere."""
        items = await asyncio.wrap_future(self._conversations.items(id))
        if items is None:
            raise _not_there("Conversation", id)
        return items

    async def add(self, id: str, items: Sequence[Json]) -> None:
        """Raises NotThere."""
        await self.conversation(id)
        await asyncio.wrap_future(self._conversations.add(id, items))

    async def item(self, id: str, item: str) -> Json:
        """Raises NotThere."""
        for each in await self.items(id):
            if each["id"] == item:
                return each
        raise _not_there("Item", item)

    async def delete_item(self, id: str, item: str) -> KeptConversation:
        """Raises NotThere."""
        kept = await self.conversation(id)
        if not await asyncio.wrap_future(self._conversations.delete_item(id, item)):
            raise _not_there("Item", item)
        return kept


def previous_not_there(id: str) -> PreviousNotThere:
    return PreviousNotThere(
        f"Previous response with id '{id[:80]}' not found.", field="previous_response_id"
    )


def _not_there(what: str, id: str) -> NotThere:
    return NotThere(f"{what} with id '{id[:80]}' not found.", field="id")
