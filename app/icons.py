"""Our icons, drawn from SVG in the colours of the theme."""

from functools import lru_cache

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QToolButton, QWidget

from app.theme import RESOURCES, Theme

_FOLDER = RESOURCES / "icons"
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
def icon(name: str, color: str, size: int = 18, active: str = "") -> QIcon:
    """Draw ``resources/icons/NAME.svg`` in a colour; ``active`` is that under the mouse."""
    drawn = QIcon()
    for scale in _SCALES:
        drawn.addPixmap(_pixmap(name, color, size, scale))
        if active:
            drawn.addPixmap(_pixmap(name, active, size, scale), QIcon.Mode.Active)
    return drawn


def pixmap(name: str, color: str, size: int, widget: QWidget) -> QPixmap:
    return _pixmap(name, color, size, max(1, round(widget.devicePixelRatioF())))


def _pixmap(name: str, color: str, size: int, scale: int) -> QPixmap:
    svg = (_FOLDER / f"{name}.svg").read_bytes().replace(b"currentColor", color.encode())
    drawn = QPixmap(size * scale, size * scale)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    QSvgRenderer(QByteArray(svg)).render(painter)
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
        self.setIcon(icon(self._name, self._theme.muted, self._size, self._theme.text))


def dot(color: str, size: int = 8) -> QPixmap:
    """A round light."""
    drawn = QPixmap(size * 2, size * 2)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(color))
    painter.drawEllipse(0, 0, size * 2, size * 2)
    painter.end()
    drawn.setDevicePixelRatio(2)
    return drawn


def muted_of(widget: QWidget) -> str:
    return widget.palette().color(QPalette.ColorRole.PlaceholderText).name()
