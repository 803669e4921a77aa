"""Sentences along the top of the window, with what can be done about them. Never a modal."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.icons import IconButton
from app.theme import Theme

Tone: TypeAlias = Literal["notice", "error"]
Action: TypeAlias = tuple[str, Callable[[], object]]


class Banners(QWidget):
    """At most one banner for each subject; a new one takes the old one's place."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: dict[str, _Banner] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(16, 10, 16, 8)
        self._column.setSpacing(8)
        self.hide()

    def say(
        self,
        subject: str,
        sentence: str,
        *actions: Action,
        kind: Tone = "notice",
        for_seconds: float = 0,  # 0: until it is closed
    ) -> None:
        self.clear(subject)
        banner = _Banner(sentence, actions, kind, lambda: self.clear(subject), self._theme)
        self._shown[subject] = banner
        self._column.addWidget(banner)
        self.show()
        if for_seconds:
            QTimer.singleShot(round(for_seconds * 1000), banner, lambda: self._expire(banner))

    def clear(self, subject: str) -> None:
        """Harmless where there is none."""
        if banner := self._shown.pop(subject, None):
            banner.hide()
            self._column.removeWidget(banner)
            banner.deleteLater()
        self.setVisible(bool(self._shown))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for banner in self._shown.values():
            banner.set_theme(theme)

    def _expire(self, banner: "_Banner") -> None:
        for subject, shown in list(self._shown.items()):
            if shown is banner:
                self.clear(subject)


class _Banner(QFrame):
    def __init__(
        self,
        sentence: str,
        actions: Sequence[Action],
        kind: Tone,
        close: Callable[[], None],
        theme: Theme,
    ) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setProperty("kind", kind)
        said = QLabel(sentence)
        said.setWordWrap(True)
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 8, 8, 8)
        line.setSpacing(8)
        line.addWidget(said, 1)
        for label, act in actions:
            button = QPushButton(label)
            button.clicked.connect(close)
            button.clicked.connect(act)
            line.addWidget(button)
        self._closer = IconButton("close", "Close this message", theme, size=14)
        self._closer.clicked.connect(close)
        line.addWidget(self._closer)
        self.setAccessibleName(sentence)

    def set_theme(self, theme: Theme) -> None:
        self._closer.set_theme(theme)
