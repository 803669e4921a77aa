"""What is in memory and what runs there, as the window and the wires show it."""

from dataclasses import dataclass
from datetime import datetime

from models.chat import Origin
from models.ledger import Need
from models.model import Model


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

    @property
    def size_bytes(self) -> int:
        return self.need.total_bytes

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
