"""How fast a download goes, and how long it will take: said only once that is steady."""

from collections import deque

_WINDOW_SECONDS = 10.0  # looked back on
_STEADY_SECONDS = 4.0  # of looking, before any time is told
_STEADY_SHARE = 0.4  # by which the two halves of the window may differ


class Pace:
    """Feed it what has arrived; times are those of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def arrived(self, now: float, total_bytes: int) -> None:
        self._seen.append((now, total_bytes))
        while now - self._seen[0][0] > _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def bytes_per_second(self) -> float:
        """Return 0 while there is nothing to go by."""
        return _rate(list(self._seen))

    def seconds_left(self, left_bytes: int) -> float | None:
        """Return None while the pace is not steady enough to tell."""
        seen = list(self._seen)
        if not seen or seen[-1][0] - seen[0][0] < _STEADY_SECONDS:
            return None
        rate = _rate(seen)
        middle = seen[0][0] + (seen[-1][0] - seen[0][0]) / 2
        lately = _rate([each for each in seen if each[0] >= middle])
        if rate <= 0 or abs(lately - rate) > _STEADY_SHARE * rate:
            return None
        return left_bytes / rate


def _rate(seen: list[tuple[float, int]]) -> float:
    if not seen or seen[-1][0] <= seen[0][0]:
        return 0.0
    return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


_SOON_SECONDS = 10
_MINUTE = 60
_HOUR = 3600


def time_words(seconds: float) -> str:
    """Say how long, no more exactly than it can be known."""
    if seconds < _SOON_SECONDS:
        return "a few seconds left"
    if seconds < _MINUTE:
        return f"{round(seconds, -1):.0f} s left"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min left"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes} min left"
