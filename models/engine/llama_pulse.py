"""Whether a child process still does what it is to do, seen from outside."""

import time

import psutil

# A chunk of a long prompt may take long on a slow computer, but not much longer than one before.
_LONGEST_TIMES = 8
_LEAST_SECONDS = 60.0
_FIRST_SECONDS = 600.0  # until something has come for the first time
_IDLE_SHARE = 0.01  # of a processor


class Pulse:
    """Ask ``is_stuck`` about once a second while something is to come of the process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._beat_at = time.monotonic()
        self._longest_seconds: float | None = None
        self._looked_at = self._busy_at = self._beat_at
        self._seconds = 0.0
        self._read: int = 0

    def start(self) -> None:
        """It has been given something to do."""
        self._beat_at = self._busy_at = time.monotonic()

    def beat(self) -> None:
        """Something has come of it."""
        now = time.monotonic()
        self._longest_seconds = max(now - self._beat_at, self._longest_seconds or 0)
        self._beat_at = now

    def is_idle(self) -> bool:
        """Whether it has neither reckoned nor read for a minute. False where nothing tells that."""
        now, done = time.monotonic(), self._work_done()
        if done is None:
            return False
        seconds, read = done
        least = self._seconds + _IDLE_SHARE * (now - self._looked_at)
        if seconds > least or read != self._read:
            self._busy_at = now
        self._looked_at, self._seconds, self._read = now, seconds, read
        return now - self._busy_at > _LEAST_SECONDS

    def is_stuck(self, *, silent: bool = False) -> bool:
        """Whether nothing has come for so long that nothing will.

        ``silent``: that says nothing of what it does now, unless it does nothing.
        """
        waited = time.monotonic() - self._beat_at
        idle = self.is_idle()
        if silent or (idle and waited > _LEAST_SECONDS):
            return idle
        if self._longest_seconds is None:
            return waited > _FIRST_SECONDS
        return waited > max(_LEAST_SECONDS, _LONGEST_TIMES * self._longest_seconds)

    def _work_done(self) -> tuple[float, int] | None:
        """Seconds of processors, and bytes read."""
        try:
            process = psutil.Process(self._pid)
            times = process.cpu_times()
            read: int = process.io_counters().read_bytes
        except (psutil.Error, AttributeError):  # macOS does not tell what a process reads
            return None
        return times.user + times.system, read
