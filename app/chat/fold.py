"""One line that opens: what stands beside an answer, as a thought, a call, a result."""

from PySide6.QtCore import QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QPushButton, QWidget

from app.chat.blocks import TextBlock
from app.chat.shown import Aside
from app.icons import icon
from app.theme import Theme, code_font

_HEAD_HEIGHT = 28
_CHEVRON = 16
_SIDES = 34  # of the line: padding, chevron, and the air behind it
_LINE_X = 7  # below the middle of the chevron
_INDENT = 22
_BODY_GAP = 4
_PREVIEW_GAP = "   "


class Fold(QWidget):
    """Folded until it is asked for, by the mouse or by the keyboard."""

    toggled = Signal(bool)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._aside = Aside("", "")
        self._head = _Head(self)
        self._head.toggled.connect(self._on_toggled)
        self._body = TextBlock(theme)
        self._body.setParent(self)
        self._body.setObjectName("muted")
        self._body.hide()
        self._draw()

    @property
    def open(self) -> bool:
        return self._head.isChecked()

    def set_open(self, open_: bool) -> None:
        self._head.setChecked(open_)

    def show_aside(self, aside: Aside) -> None:
        """Show it as it is now; while it grows, with the line that is being written."""
        self._aside = aside
        self._head.setAccessibleName(aside.title)
        if self.open:
            self._show_body()
        self._elide()

    def fit(self, width: int) -> int:
        self._head.setGeometry(0, 0, width, _HEAD_HEIGHT)
        self._elide()
        if not self.open:
            return _HEAD_HEIGHT
        top = _HEAD_HEIGHT + _BODY_GAP
        height = self._body.fit(width - _INDENT)
        self._body.setGeometry(_INDENT, top, width - _INDENT, height)
        return top + height

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.open:
            line = QRect(_LINE_X, _HEAD_HEIGHT, 1, self.height() - _HEAD_HEIGHT)
            QPainter(self).fillRect(line, QColor(self._theme.edge))

    @Slot(bool)
    def _on_toggled(self, open_: bool) -> None:
        if open_:
            self._show_body()
        self._body.setVisible(open_)
        self._draw()
        self._elide()
        self.toggled.emit(open_)

    def _show_body(self) -> None:
        if self._aside.code:
            self._body.setFont(code_font())
        self._body.setAccessibleName(self._aside.title)
        self._body.show_more(self._aside.body)

    def _draw(self) -> None:
        name = "chevron-down" if self.open else "chevron-right"
        self._head.setIcon(icon(name, self._theme.muted, _CHEVRON, active=self._theme.text))
        # What a button is cannot say that it folds: so its description does.
        self._head.setAccessibleDescription("Open" if self.open else "Folded: press to read it")

    def _elide(self) -> None:
        """Keep to one line. Of what is being written the end is shown, else the beginning."""
        metrics = self._head.fontMetrics()
        room = self._head.width() - _SIDES
        words = self._aside.title
        if self._aside.preview and not self.open:
            room_behind = room - metrics.horizontalAdvance(words + _PREVIEW_GAP)
            mode = Qt.TextElideMode.ElideLeft
            words += _PREVIEW_GAP + metrics.elidedText(self._aside.preview, mode, room_behind)
        else:
            words = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)
        self._head.setText(words.replace("&", "&&"))


class _Head(QPushButton):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "fold")
        self.setCheckable(True)
        self.setIconSize(QSize(_CHEVRON, _CHEVRON))
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def keyPressEvent(self, e: QKeyEvent) -> None:
        if e.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(e)
