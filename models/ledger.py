"""Memory that is promised to models: one formula, and one book of what was promised to whom."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from models.errors import OutOfMemory

_GIB = 1 << 30
RESERVE_BYTES = _GIB  # left to everything else on the computer


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one loaded model takes. What ``/api/ps`` and the window show is ``total_bytes``."""

    weights_bytes: int
    cache_bytes: int  # KV caches of all sequences, and of prompts that are kept
    working_bytes: int  # activations, logits, the process itself
    # The weights are pages of a file: the system counts them as available although a step
    # reads every one of them (a 568 MB model lowered "available" by 78 to 104 MB).
    mapped: bool = False
    guessed: bool = False  # the files do not tell enough for more

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.cache_bytes + self.working_bytes


@dataclass(slots=True, eq=False)
class Reservation:
    """A promise, from before a model is loaded until its memory has been given back."""

    owner: str  # what it is for, as the beginning of a sentence
    need: Need
    taken: bool = False  # it is loaded: what it takes shows in the free memory

    @property
    def unseen_bytes(self) -> int:
        """What the computer still counts as free although it is not."""
        if not self.taken:
            return self.need.total_bytes
        return self.need.weights_bytes if self.need.mapped else 0


def free_bytes() -> int:
    """Return the memory that can be had without swapping."""
    return psutil.virtual_memory().available


def total_bytes() -> int:
    return psutil.virtual_memory().total


class Ledger:
    """Any thread may call it: one lock, and nothing slow under it.

    Whoever finds no room is told when some comes back, the oldest first; until it has its
    turn, nobody who came later is served.
    """

    def __init__(
        self,
        free_bytes: Callable[[], int] = free_bytes,
        total_bytes: Callable[[], int] = total_bytes,
    ) -> None:
        self._free_bytes = free_bytes
        self._total_bytes = total_bytes
        self._lock = threading.Lock()  # protects the two below
        self._promised: list[Reservation] = []
        self._waiting: dict[object, Callable[[], None]] = {}  # by who waits, the oldest first

    def spare_bytes(self) -> int:
        """Return what may still be promised."""
        with self._lock:
            return self._spare_bytes()

    def reserve(
        self,
        owner: str,
        waiter: object,
        wake: Callable[[], None],
        *,
        least: Need,
        choose: Callable[[int], Need],
    ) -> Reservation | None:
        """Promise memory to ``owner``, or put ``waiter`` into the queue and return None.

        Args:
            waiter: who asks; asking again keeps its place.
            wake: called, on any thread, when it should ask again.
            least: what it cannot do without.
            choose: of the bytes that can be had, what it takes. It must be quick.

        Raises:
            OutOfMemory: even with every model gone it would not fit.
        """
        with self._lock:
            spare = self._spare_bytes()
            first = not self._waiting or next(iter(self._waiting)) is waiter
            if first and least.total_bytes <= spare:
                self._waiting.pop(waiter, None)
                reservation = Reservation(owner, choose(spare))
                self._promised.append(reservation)
                return reservation
            most = spare + sum(each.need.total_bytes for each in self._promised)
            if least.total_bytes > most:
                self._waiting.pop(waiter, None)
                raise _out_of_memory(owner, least, most)
            self._waiting.setdefault(waiter, wake)
            return None

    def give_up(self, waiter: object) -> None:
        """Leave the queue. Harmless for who is not in it."""
        with self._lock:
            was_there = self._waiting.pop(waiter, None)
        if was_there:
            self._wake_oldest()

    def took(self, reservation: Reservation) -> None:
        """The model is loaded: its memory has been taken."""
        reservation.taken = True

    def release(self, reservation: Reservation) -> None:
        """The memory has been given back. Harmless twice."""
        with self._lock:
            if reservation in self._promised:
                self._promised.remove(reservation)
        self._wake_oldest()

    def promised(self) -> tuple[Reservation, ...]:
        """Return every promise that holds, also those to models that are still loading."""
        with self._lock:
            return tuple(self._promised)

    def _spare_bytes(self) -> int:
        unseen = sum(each.unseen_bytes for each in self._promised)
        promised = sum(each.need.total_bytes for each in self._promised)
        left = min(self._free_bytes() - unseen, self._total_bytes() - promised)
        return max(0, left - RESERVE_BYTES)

    def _wake_oldest(self) -> None:
        with self._lock:
            wake = next(iter(self._waiting.values()), None)
        if wake:
            wake()


def _out_of_memory(owner: str, least: Need, most: int) -> OutOfMemory:
    about = "about " if least.guessed else ""
    return OutOfMemory(
        f"{owner} needs {about}{_gib(least.total_bytes)} of memory, and {_gib(most)} can be had: "
        "close other programs, or choose a smaller model or a shorter context."
    )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB"
