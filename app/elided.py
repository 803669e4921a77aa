"""A label on one line that gives way where there is no room, and tells all in its tool tip."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel

_SPARE = 4  # pixels: letters lean out of their advance, and what a label asks for is rounded


class ElidedLabel(QLabel):
    def __init__(self, name: str, mode: Qt.TextElideMode, least: int) -> None:
        """``least`` is the width, in pixels, that it keeps in any case."""
        super().__init__()
        self.setObjectName(name)
        self._mode = mode
        self._least = least
        self._words = ""

    def say(self, words: str) -> None:
        self._words = words
        self.setToolTip(words)
        self.setAccessibleName(words)
        self._fit()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        needed = self.fontMetrics().horizontalAdvance(self._words) + self._frame() + _SPARE
        return QSize(needed, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(min(self._least, hint.width()), hint.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = self.width() - self._frame()
        self.setText(self.fontMetrics().elidedText(self._words, self._mode, room))

    def _frame(self) -> int:
        """Return how much wider than its text it is, by the style sheet."""
        self.ensurePolished()
        return super().sizeHint().width() - self.fontMetrics().horizontalAdvance(self.text())
