"""Who may ask: whether keys are needed, and whether a request has one of them."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from models.errors import InvalidRequest
from server import keys
from server.keys import Key, KeyRefused, Keys

log = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0  # within which a new key is known, and a removed one forgotten
# They tell nothing of this computer, nor of what is on it.
_OPEN = {"/", "/health", "/v1/health", "/api/version", "/openapi.json", "/docs"}


def is_open(path: str) -> bool:
    """Whether everybody may ask for it."""
    return path in _OPEN


class KeyCheck:
    """Use it from the loop alone."""

    def __init__(self, kept: Keys) -> None:
        self._kept = kept
        self._known: Sequence[Key] = ()
        self._read_at = float("-inf")

    async def check(self, path: str, headers: Mapping[str, str]) -> None:
        """``headers`` by their names in lower case. Raises KeyRefused."""
        if is_open(path):
            return
        tokens = _tokens(headers)
        if not tokens:
            raise KeyRefused(
                "An API key is needed here, in the header 'Authorization: Bearer KEY': "
                "'ingle key add NAME' makes one."
            )
        if not await self.knows(headers):
            raise KeyRefused("This API key is not known here: 'ingle key add NAME' makes one.")

    async def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether they have a key of ours, whatever is asked for."""
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            await self._read()
        return any([keys.are(token, self._known) for token in _tokens(headers)])

    async def _read(self) -> None:
        try:
            self._known = await asyncio.to_thread(self._kept.all)
        except (OSError, InvalidRequest) as error:  # then nobody has a key
            log.error("%s", error)
            self._known = ()
        self._read_at = time.monotonic()


def _tokens(headers: Mapping[str, str]) -> list[str]:
    """Return what is given as a key: some clients send a made-up one beside the real one."""
    scheme, _, bearer = headers.get("authorization", "").strip().partition(" ")
    found = [bearer.strip() if scheme.lower() == "bearer" else "", headers.get("x-api-key", "")]
    return [each for each in found if each]
