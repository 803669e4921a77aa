"""How often a transfer that breaks off is taken up again, and how long after."""

import threading

from models.hub_errors import PullCancelled

_ATTEMPTS = 7  # without a new byte between them: half a minute
_FIRST_PAUSE_SECONDS = 0.5  # doubles each time


class Patience:
    """Of one transfer, which ends when ``cancelled`` is set."""

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled
        self._failures = 0

    def renew(self) -> None:
        """It has got further."""
        self._failures = 0

    def wait(self, problem: Exception) -> None:
        """Wait until the next attempt. Raises ``problem`` after the last one, or PullCancelled."""
        self._failures += 1
        if self._failures == _ATTEMPTS:
            raise problem
        if self._cancelled.wait(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1)):
            raise PullCancelled
