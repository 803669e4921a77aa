"""``ingle pull``: a model from the hub, with its progress."""

import signal
import sys
import threading
import time

from app import words
from app.commands import INTERRUPTED
from app.commands.library import open_store
from models.hub import Hub
from models.hub_errors import PullCancelled
from models.hub_progress import PullProgress

_BAR = 24  # columns
_SECONDS_BETWEEN_LINES = 5.0


def pull(name: str) -> int:
    cancelled = threading.Event()
    # Not KeyboardInterrupt, which may come in the middle of anything: the pull looks
    # for this when it is ready to stop.
    before = signal.signal(signal.SIGINT, lambda number, frame: cancelled.set())
    display = _Bar() if sys.stdout.isatty() else _Lines()
    try:
        model = Hub(open_store()).pull(name, display.show, cancelled)
    except PullCancelled:
        display.end()
        print("Stopped. What has arrived is kept: pull again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BaseException:
        display.end()
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    display.end()
    print(f"{model.name} is here: {words.size(model.size_bytes)}.")
    return 0


class _Lines:
    """For a file or a pipe: a line for each new status, and one now and then."""

    def __init__(self) -> None:
        self._said = ("", "")
        self._next = 0.0

    def show(self, progress: PullProgress) -> None:
        new = (progress.status, progress.file)
        now = time.monotonic()
        if new == self._said and now < self._next:
            return
        self._said, self._next = new, now + _SECONDS_BETWEEN_LINES
        if progress.total_bytes:
            done, total = words.size(progress.completed_bytes), words.size(progress.total_bytes)
            print(f"{progress.status} {progress.file}: {done} of {total}", flush=True)
        else:
            print(progress.status, flush=True)

    def end(self) -> None:
        pass


class _Bar:
    """For a terminal: one line that changes."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def show(self, progress: PullProgress) -> None:
        line = progress.status
        if progress.total_bytes:
            share = progress.completed_bytes / progress.total_bytes
            bar = ("█" * int(share * _BAR)).ljust(_BAR, "░")
            done, total = words.size(progress.completed_bytes), words.size(progress.total_bytes)
            line = (
                f"{progress.status:<24} {share:4.0%} {bar} {done} of {total}{self._rate(progress)}"
            )
        sys.stdout.write(f"\r\033[K{line}")
        sys.stdout.flush()

    def end(self) -> None:
        sys.stdout.write("\r\033[K")
        sys.stdout.flush()

    def _rate(self, progress: PullProgress) -> str:
        now = time.monotonic()
        if self._began is None:
            self._began = (now, progress.completed_bytes)
        began, before = self._began
        seconds, arrived = now - began, progress.completed_bytes - before
        return f", {words.size(arrived / seconds)}/s" if seconds > 1 and arrived else ""
