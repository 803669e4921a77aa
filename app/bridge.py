"""The bridge from an engine's thread to the Qt event loop."""

import threading
import time
from collections import deque

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from models.chat import GenerateRequest, Origin
from models.events import Event
from models.residency import Residency

# As often as a reader can see. A signal for every token would cost more than the drawing.
_REDRAW_MS = 33


class Generation(QObject):
    """One running generation, seen from the GUI thread.

    It has a parent always: a QObject without one dies with its last Python reference,
    and that may be the engine's.
    """

    happened = Signal(object)  # list[Event], in their order, at most 30 times a second
    _woken = Signal()

    def __init__(self, residency: Residency, request: GenerateRequest, parent: QObject) -> None:
        super().__init__(parent)
        self._residency = residency
        self._request = request
        self._ticket: int | None = None
        self._cancelled = False
        self._events: deque[Event] = deque()
        self._drained = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._drain)
        self._woken.connect(self._arm, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin. To find a model is to look at the disk, so that is done elsewhere."""
        threading.Thread(target=self._submit, name="submit", daemon=True).start()

    def cancel(self) -> None:
        self._cancelled = True
        if self._ticket is not None:
            self._residency.cancel(self._ticket)

    def _submit(self) -> None:
        origin = Origin("window")
        self._ticket = self._residency.submit(self._request, self._take, origin=origin)
        # Whichever of this and ``cancel`` comes second sees what the first one wrote.
        if self._cancelled:
            self._residency.cancel(self._ticket)

    def _take(self, event: Event) -> None:
        """Called on the engine's thread: one signal wakes us, however many events follow.

        Append and length of one deque are whole steps under the interpreter's lock, and the
        drainer empties it: so the first event after that sees a length of 1, and wakes again.
        """
        self._events.append(event)
        if len(self._events) == 1:
            self._woken.emit()

    @Slot()
    def _arm(self) -> None:
        if not self._timer.isActive():
            since_ms = (time.monotonic() - self._drained) * 1000
            self._timer.start(max(0, round(_REDRAW_MS - since_ms)))

    @Slot()
    def _drain(self) -> None:
        self._drained = time.monotonic()
        events: list[Event] = []
        while self._events:
            events.append(self._events.popleft())
        if events:
            self.happened.emit(events)
