"""Our icons, drawn from SVG in the colours of the theme."""

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QPushButton, QToolButton, QWidget

from app.theme import RESOURCES, Theme

_FOLDER = RESOURCES / "icons"
DOT_SIZE = QSize(12, 8)
_AIR = 6
_SCALES = (1, 2)  # device pixels for one of ours; Qt scales for odd ones


def application_icon() -> QIcon:
    icon = QIcon()
    for path in sorted(_FOLDER.glob("inglenook-*.png")):
        icon.addFile(str(path))
    return icon


def tray_icon() -> QIcon:
    """A template where the platform tints one, and the mark in colour elsewhere."""
    icon = QIcon(str(_FOLDER / "tray.svg"))
    icon.setIsMask(True)
    return icon


@lru_cache(maxsize=256)
def icon(name: str, color: str, size: int = 18, *, active: str = "", air: int = 0) -> QIcon:
    """Draw ``resources/icons/NAME.svg`` in a colour; ``active`` is that under the mouse.

    ``air`` is left to the right of it: Qt has too little between an icon and its words.
    """
    drawn = QIcon()
    for scale in _SCALES:
        drawn.addPixmap(_pixmap(name, color, size, scale, air))
        if active:
            drawn.addPixmap(_pixmap(name, active, size, scale, air), QIcon.Mode.Active)
    return drawn


def show_beside_words(button: QPushButton, name: str, color: str, size: int = 18) -> None:
    button.setIcon(icon(name, color, size, air=_AIR))
    button.setIconSize(QSize(size + _AIR, size))


def pixmap(name: str, color: str, size: int, widget: QWidget) -> QPixmap:
    return _pixmap(name, color, size, max(1, round(widget.devicePixelRatioF())))


def _pixmap(name: str, color: str, size: int, scale: int, air: int = 0) -> QPixmap:
    svg = (_FOLDER / f"{name}.svg").read_bytes().replace(b"currentColor", color.encode())
    drawn = QPixmap((size + air) * scale, size * scale)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    QSvgRenderer(QByteArray(svg)).render(painter, QRectF(0, 0, size * scale, size * scale))
    painter.end()
    drawn.setDevicePixelRatio(scale)
    return drawn


class IconButton(QToolButton):
    """A button that is an icon, and says in words what it does."""

    def __init__(self, name: str, does: str, theme: Theme, *, size: int = 18) -> None:
        super().__init__()
        self._name = name
        self._size = size
        self._theme = theme
        self.setIconSize(QSize(size, size))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.say(does)
        self._draw()

    def say(self, does: str) -> None:
        self.setToolTip(does)
        self.setAccessibleName(does)

    def show_icon(self, name: str) -> None:
        self._name = name
        self._draw()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._draw()

    def _draw(self) -> None:
        self.setIcon(icon(self._name, self._theme.muted, self._size, active=self._theme.text))


def dot(color: str) -> QIcon:
    """A round light, with air to the right of it."""
    drawn = QPixmap(DOT_SIZE * 2)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(color))
    diameter = DOT_SIZE.height() * 2
    painter.drawEllipse(0, 0, diameter, diameter)
    painter.end()
    drawn.setDevicePixelRatio(2)
    return QIcon(drawn)
