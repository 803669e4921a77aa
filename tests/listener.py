"""A sink that a test can wait on."""

import queue

from models.events import Event, Failed, Finished, Last, Loaded, TextDelta, Unloaded

ENOUGH_SECONDS = 20.0


class Listener:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        self._queue.put(event)

    def next(self) -> Event:
        """Raises queue.Empty where nothing comes."""
        self.events.append(self._queue.get(timeout=ENOUGH_SECONDS))
        return self.events[-1]

    def until(self, kind: type[Event]) -> Event:
        while not isinstance(event := self.next(), kind):
            pass
        return event

    def end(self) -> Last:
        """Wait for the terminal event."""
        while True:
            event = self.next()
            if isinstance(event, Finished | Failed | Loaded | Unloaded):
                return event

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    def nothing_more(self) -> bool:
        return self._queue.empty()
