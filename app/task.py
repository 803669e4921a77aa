"""Work that takes too long for the GUI thread, done on a thread of its own."""

import logging
import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app import words

log = logging.getLogger(__name__)


class Task(QObject):
    """Runs one function; tells of its end on the GUI thread, and is gone then."""

    done = Signal(object)  # what the function returned
    failed = Signal(str)  # a sentence for the user
    _ended = Signal()

    def __init__(self, name: str, work: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._work = work
        self._ended.connect(self.deleteLater)
        # A daemon: what is still being fetched does not keep a program that ends.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self._tell()
        except RuntimeError:  # our C++ half is gone: the window closed meanwhile
            log.debug("Nobody is left to hear of %s", self._thread.name)

    def _tell(self) -> None:
        try:
            result = self._work()
        except Exception as error:
            said = words.sentence(error)
            if said is None:
                log.exception("%s failed", self._thread.name)
            self.failed.emit(said or "That failed unexpectedly: see the log.")
        else:
            self.done.emit(result)
        self._ended.emit()
