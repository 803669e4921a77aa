"""The desktop program: the services, the API's switch, the window and the tray, joined."""

import logging
import os
import signal
import socket
import sys
import time
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType, TracebackType

import psutil
from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QFileSystemWatcher,
    QObject,
    QSocketNotifier,
    Qt,
    QTimer,
    Slot,
)
from PySide6.QtWidgets import QApplication

from app import background
from app.api_switch import ApiState, ApiSwitch
from app.chat.chats import Chats
from app.chat.window import MainWindow
from app.icons import application_icon
from app.manager.downloads import Downloads
from app.manager.library import Library
from app.menubar import MenuBarIcon
from app.platform import desktop
from app.services import api_server, open_everything
from app.settings import LOG_FILE
from app.theme import Appearance
from models import downloads, paths

log = logging.getLogger(__name__)

_LOG_BYTES = 1_000_000
_TRAY_LOOK_MS = 2000
_TRAY_LOOKS = 15


class Program(QObject):
    """Everything there is one of while the window's program runs."""

    def __init__(self, application: QApplication, home: Path) -> None:
        super().__init__(application)
        self._application = application
        self._services = services = open_everything(home)
        settings = services.settings
        self.chats = Chats(services.residency, services.records, settings.value.model, self)
        self.library = Library(services.store, services.residency, self)
        self._coming = downloads.Downloads(services.hub, home / downloads.FILE)
        self.downloads = Downloads(services.hub, self._coming, self)
        # It imports the server on the switch's thread, and after the window is there.
        self.switch = ApiSwitch(settings, partial(api_server, services), self)
        self.window = MainWindow(
            home=home,
            settings=settings,
            appearance=Appearance(application, settings.value.theme),
            chats=self.chats,
            library=self.library,
            downloads=self.downloads,
            switch=self.switch,
        )
        # What "ingle settings" changes holds here at once too. A file that is replaced is
        # not watched any more, so its folder is.
        self._watcher = QFileSystemWatcher(self)
        self._tray: MenuBarIcon | None = None
        self._looks_left = _TRAY_LOOKS
        self._tray_timer = QTimer(self)
        self._tray_timer.setInterval(_TRAY_LOOK_MS)
        self._tray_timer.timeout.connect(self._look_for_tray)
        self._work: object = None  # asked of the desktop, while the API is on
        self._connect()
        self._look_for_tray()

    def show(self) -> None:
        self.window.show()
        QTimer.singleShot(0, self._after_showing)

    def close(self) -> None:
        """Stop everything, keep everything, in the order that loses nothing."""
        self.window.closed.disconnect(self._on_window_closed)
        self.window.close()  # it keeps its place and size
        self._tray_timer.stop()
        self._watcher.directoryChanged.disconnect(self._on_home_changed)
        if self._tray:
            self._tray.close()
        self.chats.close()
        self.downloads.close()
        self._coming.close()
        self.switch.close()
        self._services.close()
        # While everything it shows is still there: at the interpreter's exit PySide
        # would take us apart in any order.
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete.value)

    def _connect(self) -> None:
        self.window.closed.connect(self._on_window_closed)
        self.window.quit_wanted.connect(self._application.quit)
        # A session that ends is not kept waiting by a window that only hides.
        self._application.commitDataRequest.connect(self._application.quit)
        self._application.applicationStateChanged.connect(self._on_state_changed)
        self.switch.changed.connect(self._on_switch_changed)
        self._watcher.directoryChanged.connect(self._on_home_changed)

    @Slot()
    def _look_for_tray(self) -> None:
        """A program that is opened with the session may be there before the tray is."""
        self._looks_left -= 1
        if MenuBarIcon.available() and self._tray is None:
            self._tray = MenuBarIcon(self.switch, self)
            self._tray.window_wanted.connect(self._show_again)
            self._tray.quit_wanted.connect(self._application.quit)
        if self._tray or self._looks_left <= 0:
            self._tray_timer.stop()
        else:
            self._tray_timer.start()

    @Slot()
    def _after_showing(self) -> None:
        """What the first picture of the window need not wait for."""
        self._coming.resume()
        self.switch.restore()
        self._watcher.addPath(str(self._services.settings.home))

    @Slot()
    def _on_home_changed(self) -> None:
        settings = self._services.settings
        background.deliver(settings.reread(), settings.take, self)

    @Slot()
    def _on_window_closed(self) -> None:
        if self._tray:
            desktop.window_hidden()
        else:
            self._application.quit()

    @Slot(Qt.ApplicationState)
    def _on_state_changed(self, state: Qt.ApplicationState) -> None:
        """On a Mac, opening a program that is running brings its window back."""
        active = state is Qt.ApplicationState.ApplicationActive
        if active and desktop.has_menu_bar() and self.window.isHidden():
            self._show_again()

    @Slot()
    def _show_again(self) -> None:
        desktop.window_shown()
        self.window.show()
        self.window.raise_()
        self.window.activateWindow()

    @Slot()
    def _on_switch_changed(self) -> None:
        on = self.switch.state is ApiState.ON
        if on and self._work is None:
            self._work = desktop.work_began("Serving the local API")
        elif not on and self._work is not None:
            desktop.work_ended(self._work)
            self._work = None


class _Signals(QObject):
    """Ctrl-C and a polite kill end the program as its own Quit does.

    Qt's loop sleeps where Python cannot run a handler, so the signal wakes it by a socket.
    """

    def __init__(self, application: QCoreApplication) -> None:
        super().__init__(application)
        self._application = application
        self._ours, theirs = socket.socketpair()
        self._theirs = theirs
        for each in (self._ours, theirs):
            each.setblocking(False)
        self._notifier = QSocketNotifier(self._ours.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_woken)
        signal.set_wakeup_fd(theirs.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._quit)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._notifier.setEnabled(False)
        self._ours.close()
        self._theirs.close()

    @Slot()
    def _on_woken(self) -> None:
        self._ours.recv(64)  # Python runs the handler on its way here

    def _quit(self, _number: int, _frame: FrameType | None) -> None:
        self._application.quit()


class _Trace(QObject):
    """Tells, once, how long the window took to be seen (INGLENOOK_TRACE=1)."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self._tell)
        return False

    @Slot()
    def _tell(self) -> None:
        seconds = _seconds_running()
        print(f"inglenook: window visible after {seconds:.2f} s", file=sys.stderr, flush=True)


def run() -> int:
    """Open the window; return when the program is to end."""
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Inglenook")
    application.setDesktopFileName("inglenook")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(False)
    signals = _Signals(application)
    home = paths.home()
    _log_into(home)
    program = Program(application, home)
    if os.environ.get("INGLENOOK_TRACE"):
        program.window.installEventFilter(_Trace(program))
    program.show()
    try:
        return application.exec()
    finally:
        program.close()
        signals.close()


def _log_into(home: Path) -> None:
    """Keep what goes wrong in a file: who opened us with a click sees no stderr."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            home / LOG_FILE, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
    except OSError as error:
        log.warning("There is no log file: %s", error)
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    sys.excepthook = _log_exception


def _log_exception(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    """What a slot of ours raises: Qt goes on, and so do we."""
    log.error("Something failed unexpectedly", exc_info=(kind, error, where))


def _seconds_running() -> float:
    """Return how long ago this process was started, its interpreter and imports included."""
    if sys.platform != "linux":
        return time.time() - psutil.Process().create_time()
    # psutil knows the hour of the boot to a second only.
    after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22, man 5 proc
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
