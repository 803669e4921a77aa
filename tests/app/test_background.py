import threading
from concurrent.futures import Future

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThread

from app import background
from models.errors import LoadFailed


@pytest.fixture
def parent(qapp: QCoreApplication):
    made = QObject()
    yield made
    made.deleteLater()


def test_work_is_done_elsewhere_and_its_end_told_here(qapp, qtbot, parent) -> None:
    where: list[QThread] = []
    got: list[int] = []

    def work() -> int:
        where.append(QThread.currentThread())
        return 42

    def then(number: int) -> None:
        where.append(QThread.currentThread())
        got.append(number)

    background.run(work, then, parent)
    assert got == []
    qtbot.waitUntil(lambda: got == [42])

    assert where[0] is not qapp.thread()
    assert where[1] is qapp.thread()


def test_what_goes_wrong_is_told_as_a_sentence(qtbot, parent) -> None:
    told: list[str] = []

    def fail(error: Exception) -> None:
        def work() -> None:
            raise error

        background.run(work, lambda _: pytest.fail("it went well"), parent, told.append)

    fail(LoadFailed("The file is damaged."))
    qtbot.waitUntil(lambda: len(told) == 1)
    fail(PermissionError(13, "Permission denied", "/models"))
    qtbot.waitUntil(lambda: len(told) == 2)
    fail(ZeroDivisionError("a bug"))
    qtbot.waitUntil(lambda: len(told) == 3)

    assert told == [
        "The file is damaged.",
        "/models: Permission denied.",
        "That failed unexpectedly: see the log.",
    ]


def test_a_parent_that_has_gone_is_told_nothing(qtbot, parent) -> None:
    go_on = threading.Event()
    told: list[object] = []
    gone = QObject()
    background.run(go_on.wait, told.append, gone)
    gone.deleteLater()
    QCoreApplication.sendPostedEvents(gone, QEvent.Type.DeferredDelete.value)

    go_on.set()
    background.run(lambda: "later", told.append, parent)
    qtbot.waitUntil(lambda: "later" in told)
    qtbot.waitUntil(lambda: not background._underway)

    assert told == ["later"]


def test_what_was_cancelled_is_not_delivered(qtbot, parent) -> None:
    told: list[str] = []
    cancelled: Future[str] = Future()
    background.deliver(cancelled, told.append, parent, told.append)

    cancelled.cancel()
    background.run(lambda: "later", told.append, parent)
    qtbot.waitUntil(lambda: not background._underway)

    assert told == ["later"]
