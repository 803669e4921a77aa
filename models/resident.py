"""What is in memory and what runs there, as the window and the wires show it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.chat import Origin
from models.counters import Counters
from models.ledger import Need
from models.model import Model

# Longer than this is "no end"; datetime cannot hold infinity.
_FOREVER_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model in memory, or on its way there."""

    model: Model  # by the name under which it was asked for last
    names: frozenset[str]  # ``ModelName.key`` of every name it was asked for by
    loading: bool
    need: Need  # as it is promised in the ledger
    loaded_bytes: int  # of the weights while it is loading; 0 where that is not known
    context_length: int
    expires_at: datetime | None  # aware, UTC; None: it stays
    running: int  # generations, waiting ones included
    last_used: float  # time.monotonic()
    queued: int  # of the running ones, those that wait for their turn
    doing: "Doing"
    counters: Counters
    drafts: str = ""  # as its profile has it
    drafts_lost: bool = False  # it was slower with them, and was loaded again without

    @property
    def size_bytes(self) -> int:
        return self.need.total_bytes

    @property
    def loaded_share(self) -> float:
        """How far its loading is, from 0 to 1; 0 where that is not known."""
        return min(1.0, self.loaded_bytes / max(1, self.model.size_bytes))

    @property
    def idle(self) -> bool:
        return not self.loading and not self.running


@dataclass(frozen=True, slots=True)
class Running:
    """A request that has not ended."""

    ticket: int
    model: str
    origin: Origin
    submitted: float  # time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What a model is doing, as its lane saw it half a second ago at most."""

    stepping: bool  # it has been given sequences: steps are to be expected
    last_step: float  # time.monotonic(), of the latest output
    tokens_per_second: float  # decoded of all sequences, in the last seconds
    prompt_tokens: int  # of all prompts since it was loaded
    cached_tokens: int  # of these, those that it had not to read

    @property
    def silent_seconds(self) -> float:
        """How long it has taken no step although it has work."""
        return time.monotonic() - self.last_step if self.stepping else 0.0

    @property
    def cached_share(self) -> float:
        """Of the prompts' tokens, how many had not to be read, from 0 to 1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


def moment_in(seconds: float) -> datetime | None:
    """Return when so many seconds will have passed; None: that is for ever."""
    if seconds > _FOREVER_SECONDS:
        return None
    return datetime.now(UTC) + timedelta(seconds=max(0.0, seconds))
