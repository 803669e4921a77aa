"""A picture as large as the window; any click or Esc goes back to the chat."""

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Slot
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget
from shiboken6 import isValid

from app import background
from app.chat import pictures
from app.icons import IconButton
from app.theme import DARK
from models.chat import Image

_MARGIN = 40
_BUTTON = 36
_SCRIM = QColor(0, 0, 0, 215)


class Viewer(QWidget):
    """Lies over the window that it is given, in the dark whatever the theme: so pictures show."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._image: Image | None = None
        self._shown: QImage | None = None
        self._from: QWidget | None = None  # what had the keyboard
        self._words = QLabel(self)
        self._words.setStyleSheet(f"color: {DARK.text}; background: transparent;")
        self._words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._words.setWordWrap(True)
        self._close = IconButton("close", "Close the picture (Esc)", DARK, size=20)
        self._close.setParent(self)
        self._close.clicked.connect(self.leave)
        window.installEventFilter(self)
        self.hide()

    @property
    def shown(self) -> QImage | None:
        return self._shown

    def open(self, image: Image) -> None:
        self._image, self._shown = image, None
        self._words.setText("")
        self.setAccessibleName(f"Picture: {image.name}" if image.name else "Picture")
        self._from = self.window().focusWidget()
        self.setGeometry(self.window().rect())
        self.show()
        self.raise_()
        self.setFocus()
        if isinstance(source := image.source, str):
            self._say(f"The picture is at {source[:200]}. It is not fetched from there.")
        else:
            background.run(
                lambda: pictures.large(source),
                lambda whole: self._on_read(image, whole),
                self,
                self._say,
            )

    @Slot()
    def leave(self) -> None:
        self.hide()
        self._image = self._shown = None
        if self._from and isValid(self._from):  # its row may have gone
            self._from.setFocus()

    def _on_read(self, image: Image, whole: QImage) -> None:
        if image is self._image:
            self._shown = whole
            self._say(image.name)

    def _say(self, words: str) -> None:
        self._words.setText(words)
        self._lay_out()
        self.update()

    def _lay_out(self) -> None:
        self._close.setGeometry(self.width() - _BUTTON - 8, 8, _BUTTON, _BUTTON)
        room = self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        if self._shown:  # its name stands below it
            room = QRect(_MARGIN, self.height() - _MARGIN, self.width() - 2 * _MARGIN, _MARGIN)
        self._words.setGeometry(room)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self.window().rect())
        return super().eventFilter(watched, event)

    def focusNextPrevChild(self, next: bool) -> bool:
        """The keyboard stays here: what lies below cannot be seen."""
        return True

    def resizeEvent(self, event: object) -> None:
        self._lay_out()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), _SCRIM)
        if self._shown is None:
            return
        room = self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        size = self._shown.size()
        if size.width() > room.width() or size.height() > room.height():
            size.scale(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
        at = QRect(0, 0, size.width(), size.height())
        at.moveCenter(self.rect().center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(at, self._shown)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.leave()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Space):
            self.leave()
