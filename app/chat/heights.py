"""How high each row of the transcript is, and so where it lies."""

from bisect import bisect_right
from itertools import accumulate


class Heights:
    """Heights in pixels, of rows that have been measured and rows that are guessed at."""

    def __init__(self) -> None:
        self._heights: list[int] = []
        self._ends: list[int] | None = None  # of each row, from the top; None: to be summed

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, row: int) -> int:
        return self._heights[row]

    def append(self, height: int) -> None:
        self._heights.append(height)
        self._ends = None

    def set(self, row: int, height: int) -> None:
        self._heights[row] = height
        self._ends = None

    def cut(self, row: int) -> None:
        """Forget this row, and all after it."""
        del self._heights[row:]
        self._ends = None

    @property
    def total(self) -> int:
        return self._summed()[-1] if self._heights else 0

    def top(self, row: int) -> int:
        return self._summed()[row] - self._heights[row]

    def row_at(self, y: int) -> int:
        """Return the row that a height is in; the nearest where it is in none."""
        return min(max(0, bisect_right(self._summed(), y)), len(self._heights) - 1)

    def between(self, top: int, bottom: int) -> range:
        """Return the rows of which something lies between two heights."""
        if not self._heights or bottom <= top:
            return range(0)
        return range(self.row_at(top), self.row_at(bottom) + 1)

    def _summed(self) -> list[int]:
        if self._ends is None:
            self._ends = list(accumulate(self._heights))
        return self._ends
