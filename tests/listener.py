"""A sink that a test can wait on."""

import queue

from models.events import (
    Event,
    Last,
    Progress,
    TextDelta,
)

ENOUGH_SECONDS = 20.0


class Listener:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.progress: list[Progress] = []
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self._queue.put(event)

    def next(self) -> Event:
        """Return the next event that is no progress. Raises queue.Empty where nothing comes."""
        while isinstance(event := self._queue.get(timeout=ENOUGH_SECONDS), Progress):
            self.progress.append(event)
        self.events.append(event)
        return event

    def until(self, kind: type[Event]) -> Event:
        while not isinstance(event := self.next(), kind):
            pass
        return event

    def end(self) -> Last:
        """Wait for the terminal event."""
        while True:
            event = self.next()
            if isinstance(event, Last):
                return event

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    def nothing_more(self) -> bool:
        """Whether nothing but progress has come since the last one was taken."""
        try:
            while isinstance(event := self._queue.get_nowait(), Progress):
                self.progress.append(event)
        except queue.Empty:
            return True
        self._queue.put(event)
        return False
