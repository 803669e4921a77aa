"""A picture in small, that opens large by a click; and several in lines."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QObject, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QPushButton, QWidget

from app import background
from app.chat import pictures
from app.icons import pixmap
from app.theme import Theme
from models.chat import Image, KeptFile

_SCALE = 2  # device pixels for one of ours, on most screens of today
SIDE = 120  # in the chat
SMALL = SIDE * _SCALE  # pixels of what is kept of each
_GAP = 8
_RADIUS = 10
_MOST_KEPT = 100
_ICON = 24


class Thumbnail(QPushButton):
    opened = Signal(object)  # Image

    def __init__(self, image: Image, theme: Theme, side: int = SIDE, *, place: str = "") -> None:
        super().__init__()
        self.image = image
        self._theme = theme
        self._small: QImage | None = None
        self.setFixedSize(QSize(side, side))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(": ".join(filter(None, (place or "Picture", image.name))))
        self.setToolTip(image.name or "Picture")
        self.clicked.connect(partial(self.opened.emit, image))

    def show_small(self, small: QImage) -> None:
        self._small = small
        self.update()

    def show_problem(self, sentence: str) -> None:
        """Say why it is not to be seen."""
        self.setToolTip(sentence)
        self.setAccessibleDescription(sentence)

    def load(self) -> None:
        """Read it, if it has not been read of late; nothing is fetched from elsewhere."""
        if isinstance(self.image.source, str):
            self.show_problem(f"The picture is at {self.image.source[:200]} and not shown here.")
        else:
            _kept.show(self.image.source, self.show_small, self, self.show_problem)

    def keyPressEvent(self, e: QKeyEvent) -> None:
        if e.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(e)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        shape = QPainterPath()
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        shape.addRoundedRect(frame, _RADIUS, _RADIUS)
        painter.fillPath(shape, QColor(self._theme.hover))
        if self._small:
            painter.setClipPath(shape)
            painter.drawImage(self.rect(), self._small)
            painter.setClipping(False)
        else:
            drawn = pixmap("picture", self._theme.muted, _ICON, self)
            at = QRect(0, 0, _ICON, _ICON)
            at.moveCenter(self.rect().center())
            painter.drawPixmap(at, drawn)
        focused = self.hasFocus()
        painter.setPen(
            QPen(QColor(self._theme.accent if focused else self._theme.line), 1 + focused)
        )
        painter.drawPath(shape)


class Gallery(QWidget):
    """The pictures of one message."""

    opened = Signal(object)  # Image

    def __init__(self, images: Sequence[Image], theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._thumbnails: list[Thumbnail] = []
        for number, image in enumerate(images, 1):
            place = f"Picture {number} of {len(images)}" if len(images) > 1 else ""
            thumbnail = Thumbnail(image, theme, place=place)
            thumbnail.setParent(self)
            thumbnail.opened.connect(self.opened)
            thumbnail.load()
            self._thumbnails.append(thumbnail)

    def natural_width(self, most: int) -> int:
        """Return the width that they take up where they may have this much."""
        in_line = min(len(self._thumbnails), max(1, (most + _GAP) // (SIDE + _GAP)))
        return in_line * (SIDE + _GAP) - _GAP

    def fit(self, width: int) -> int:
        in_line = max(1, (width + _GAP) // (SIDE + _GAP))
        for number, thumbnail in enumerate(self._thumbnails):
            line, place = divmod(number, in_line)
            thumbnail.move(place * (SIDE + _GAP), line * (SIDE + _GAP))
        lines = -(-len(self._thumbnails) // in_line)
        return lines * (SIDE + _GAP) - _GAP


class _Kept:
    """Pictures in small, as many as were seen of late: rows come and go as the chat is scrolled."""

    def __init__(self) -> None:
        # Of what is no file by length and Python's own hash, which it computes once: it is large.
        self._small: OrderedDict[KeptFile | tuple[int, int], QImage] = OrderedDict()

    def show(
        self,
        file: bytes | KeptFile,
        then: Callable[[QImage], None],
        parent: QObject,
        failed: Callable[[str], None],
    ) -> None:
        key = (len(file), hash(file)) if isinstance(file, bytes) else file
        if found := self._small.get(key):
            self._small.move_to_end(key)
            then(found)
            return

        def on_read(small: QImage) -> None:
            self._small[key] = small
            while len(self._small) > _MOST_KEPT:
                self._small.popitem(last=False)
            then(small)

        background.run(lambda: pictures.small(file, SMALL), on_read, parent, failed)


_kept = _Kept()
