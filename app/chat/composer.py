"""Where a message is written: it grows with the text, and its button sends or stops."""

import math

from PySide6.QtCore import QMimeData, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout

from app.chat.blocks import wrap_mode_of
from app.chat.think_switch import ThinkSwitch
from app.icons import icon
from app.theme import Theme

_MOST_LINES = 8
_SEND_SIZE = 34
_CHIP_LIFT = 3  # so that its middle is the button's
_MARGIN = 7  # of the document, above and below


class Composer(QFrame):
    sent = Signal(str)
    stopped = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("composer")
        self._theme = theme
        self._busy = False
        self.input = _Input()
        self.input.submitted.connect(self._on_submitted)
        self.input.escaped.connect(self._on_escaped)
        self.input.textChanged.connect(self._refresh)
        self.button = QPushButton()
        self.button.setObjectName("send")
        self.button.setFixedSize(_SEND_SIZE, _SEND_SIZE)
        self.button.setIconSize(QSize(20, 20))
        self.button.clicked.connect(self._on_button)
        self.think = ThinkSwitch()
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 6, 7, 6)
        line.setSpacing(8)
        line.addWidget(self.input, 1)
        beside = QVBoxLayout()
        beside.setContentsMargins(0, 0, 0, _CHIP_LIFT)
        beside.addWidget(self.think, 0, Qt.AlignmentFlag.AlignBottom)
        line.addLayout(beside)
        line.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        self.setFocusProxy(self.input)
        self._refresh()

    def set_busy(self, busy: bool) -> None:
        """While a reply is written, the button stops it."""
        self._busy = busy
        self._refresh()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._refresh()

    def set_model(self, name: str) -> None:
        self.input.invite(f"Message {name}" if name else "Get a model to begin")
        self.input.setEnabled(bool(name))

    @Slot()
    def _on_button(self) -> None:
        if self._busy:
            self.stopped.emit()
        else:
            self._on_submitted()

    @Slot()
    def _on_submitted(self) -> None:
        if self._busy:
            return
        text = self.input.toPlainText().strip()
        if text:
            self.input.clear()
            self.sent.emit(text)

    @Slot()
    def _on_escaped(self) -> None:
        if self._busy:
            self.stopped.emit()

    @Slot()
    def _refresh(self) -> None:
        can_send = bool(self.input.toPlainText().strip())
        self.button.setEnabled(self._busy or can_send)
        color = self._theme.on_accent if self.button.isEnabled() else self._theme.muted
        self.button.setIcon(icon("stop" if self._busy else "send", color, 20))
        does = "Stop the reply (Esc)" if self._busy else "Send the message (Enter)"
        self.button.setToolTip(does)
        self.button.setAccessibleName("Stop" if self._busy else "Send")


class _Input(QPlainTextEdit):
    submitted = Signal()
    escaped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Message")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(_MARGIN)
        self.textChanged.connect(self._fit)
        self._invitation = ""

    def invite(self, words: str) -> None:
        """Show this where nothing is written, on one line."""
        self._invitation = words
        self._show_invitation()

    def _show_invitation(self) -> None:
        room = self.viewport().width() - 2 * _MARGIN
        mode = Qt.TextElideMode.ElideMiddle
        self.setPlaceholderText(self.fontMetrics().elidedText(self._invitation, mode, room))

    @Slot()
    def _fit(self) -> None:
        self._wrap(self.toPlainText())
        # The size of a plain text's document is counted in lines, wrapped ones included.
        lines = min(_MOST_LINES, max(1, round(self.document().size().height())))
        height = math.ceil(lines * self.fontMetrics().lineSpacing()) + 2 * _MARGIN
        if height != self.height():
            self.setFixedHeight(height)
        more = self.document().size().height() > _MOST_LINES
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if more else policy.ScrollBarAlwaysOff
        )

    def _wrap(self, text: str) -> None:
        mode = wrap_mode_of(text)
        if mode != self.wordWrapMode():
            self.setWordWrapMode(mode)

    def insertFromMimeData(self, source: QMimeData) -> None:
        self._wrap(source.text())  # now, for it is laid out before anybody hears of it
        super().insertFromMimeData(source)

    def resizeEvent(self, e: QResizeEvent) -> None:
        super().resizeEvent(e)
        self._fit()
        self._show_invitation()

    def keyPressEvent(self, e: QKeyEvent) -> None:
        shift = e.modifiers() & Qt.KeyboardModifier.ShiftModifier
        match e.key():
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if not shift:
                self.submitted.emit()
            case Qt.Key.Key_Escape:
                self.escaped.emit()
            case _:
                super().keyPressEvent(e)
