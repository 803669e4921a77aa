"""What all models have read and written since the program started."""

import threading
from dataclasses import dataclass

from models.events import Embedded, Event, Finished, Reranked


@dataclass(frozen=True, slots=True)
class Totals:
    prompt_tokens: int = 0  # of chats and completions; those from a cache too
    cached_tokens: int = 0  # of these, those that had not to be read
    completion_tokens: int = 0
    embedded_tokens: int = 0  # of texts to embed and documents to rank
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    unread_calls: int = 0


class Tally:
    """Adds up what requests tell at their end. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # protects the totals
        self._totals = Totals()

    @property
    def totals(self) -> Totals:
        return self._totals

    def take(self, event: Event) -> None:
        match event:
            case Finished(usage=usage, unread_calls=unread):
                more = Totals(
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens,
                    0,
                    usage.prefill_seconds,
                    usage.decode_seconds,
                    unread,
                )
            case Embedded(prompt_tokens=tokens) | Reranked(prompt_tokens=tokens):
                more = Totals(embedded_tokens=tokens)
            case _:
                return
        with self._lock:
            was = self._totals
            self._totals = Totals(
                was.prompt_tokens + more.prompt_tokens,
                was.cached_tokens + more.cached_tokens,
                was.completion_tokens + more.completion_tokens,
                was.embedded_tokens + more.embedded_tokens,
                was.prefill_seconds + more.prefill_seconds,
                was.decode_seconds + more.decode_seconds,
                was.unread_calls + more.unread_calls,
            )
