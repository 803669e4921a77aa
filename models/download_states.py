"""How a download stands, as values: what a window shows and an API will stream.

    Queued  Running*  (Done | Failed | Cancelling? Cancelled)  Dismissed?

What was cancelled or has failed can be queued again.
"""

from dataclasses import dataclass
from typing import TypeAlias

from models.hub_progress import PullProgress
from models.names import ModelName


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits for its turn, or for the program to go on with it."""


@dataclass(frozen=True, slots=True)
class Running:
    progress: PullProgress


@dataclass(frozen=True, slots=True)
class Cancelling:
    """It was asked to stop, and will in a moment."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was stopped. What has arrived is kept, and it can be resumed."""


@dataclass(frozen=True, slots=True)
class Failed:
    sentence: str


@dataclass(frozen=True, slots=True)
class Done:
    model: ModelName  # as the store has it now


@dataclass(frozen=True, slots=True)
class Dismissed:
    """It was taken off the list."""


State: TypeAlias = Queued | Running | Cancelling | Cancelled | Failed | Done | Dismissed


@dataclass(frozen=True, slots=True)
class Download:
    name: str  # as it was asked for
    state: State
