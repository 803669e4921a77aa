"""Whether the engines do their work: a step that does not end is noticed, and said once.

A thread that exists may stand still. What counts is when each lane took its last step.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from models.resident import Resident

log = logging.getLogger(__name__)

# A step may take long: the first on a GPU compiles its kernels, and a chunk of a prompt
# takes a large model on a slow processor half a minute.
STUCK_SECONDS = 60.0
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """``troubles`` are sentences, one for each thing that is wrong."""

    troubles: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.troubles


class _Lane(Protocol):
    """What is asked of a ``models.engine.lane.Lane``, on any thread."""

    @property
    def name(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    @property
    def turn_seconds(self) -> float: ...
    def residents(self) -> tuple[Resident, ...]: ...


def health_of(lanes: Iterable[_Lane], stuck_seconds: float) -> Health:
    """Any thread may ask; it waits for nothing."""
    return Health(tuple(trouble for lane in lanes for trouble in _troubles(lane, stuck_seconds)))


def _troubles(lane: _Lane, stuck_seconds: float) -> Iterable[str]:
    models = lane.residents()
    names = ", ".join(str(each.model.name) for each in models) or "no model yet"
    if not lane.alive:
        yield f"The engine's thread {lane.name} ({names}) has ended: start the program again."
    elif lane.turn_seconds > stuck_seconds:
        yield (
            f"The engine's thread {lane.name} ({names}) has been in one step for more than "
            f"{stuck_seconds:.0f} seconds: it may be stuck."
        )
    else:
        for each in models:
            if each.doing.silent_seconds > stuck_seconds:
                yield (
                    f"Model '{each.model.name}' has work, and has taken no step for more than "
                    f"{stuck_seconds:.0f} seconds: it may be stuck."
                )


class Watch:
    """Looks every few seconds, and logs each trouble once, and its end.

    The sentences have no clock in them: a trouble that goes on is the same trouble.
    """

    def __init__(self, look: Callable[[], Health], every_seconds: float = _LOOK_SECONDS) -> None:
        self._look = look
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        known: set[str] = set()
        while not self._ended.wait(self._every_seconds):
            troubles = set(self._look().troubles)
            for each in sorted(troubles - known):
                log.error("%s", each)
            for each in sorted(known - troubles):
                log.warning("It is over: %s", each)
            known = troubles
