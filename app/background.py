"""The one way back to the GUI thread, for whatever is done on another.

The boundary is visible at the call: ``work`` runs elsewhere and touches no QObject;
``then`` gets what it returned, on the GUI thread, in a later turn of the event loop. It
is not called when ``parent`` has gone meanwhile: a window that was closed asks no more.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot
from shiboken6 import isValid

from app import words

log = logging.getLogger(__name__)

_T = TypeVar("_T")

UNEXPECTED = "That failed unexpectedly: see the log."


def run(
    work: Callable[[], _T],
    then: Callable[[_T], object],
    parent: QObject,
    failed: Callable[[str], object] | None = None,
) -> None:
    """Do some work on a thread of its own. ``failed`` gets a sentence for the user."""
    done: Future[_T] = Future()
    # A daemon: what is still being fetched does not keep a program that ends.
    threading.Thread(target=_fill, args=(done, work), name="background", daemon=True).start()
    deliver(done, then, parent, failed)


def deliver(
    done: "Future[_T]",
    then: Callable[[_T], object],
    parent: QObject,
    failed: Callable[[str], object] | None = None,
) -> None:
    """Hand over what a thread of somebody else's is at, as ``run`` does."""
    delivery = _Delivery(then, parent, failed)
    _underway.add(delivery)
    done.add_done_callback(delivery.arrived.emit)


class _Delivery(QObject):
    arrived = Signal(object)  # the Future; sent by the thread that has filled it

    def __init__(
        self,
        then: Callable[[Any], object],
        parent: QObject,
        failed: Callable[[str], object] | None,
    ) -> None:
        # Nobody's child: a thread could find it half taken apart with its parent.
        super().__init__()
        self._then = then
        self._wanted_by = parent
        self._failed = failed
        self.arrived.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    @Slot(object)
    def _hand_over(self, done: "Future[Any]") -> None:
        _underway.discard(self)
        if done.cancelled() or not isValid(self._wanted_by):
            return
        match done.exception():
            case None:
                self._then(done.result())
            case error if self._failed:
                self._failed(_told(error))
            case error:
                log.error("Nobody was told of this", exc_info=error)


_underway: set[_Delivery] = set()  # what keeps them alive


def _fill(done: "Future[_T]", work: Callable[[], _T]) -> None:
    try:
        result = work()
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(result)


def _told(error: BaseException) -> str:
    said = words.sentence(error) if isinstance(error, Exception) else None
    if said is None:
        log.error("Something failed in the background", exc_info=error)
    return said or UNEXPECTED
