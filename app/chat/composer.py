"""Where a message is written: it grows with the text, and its button sends or stops."""

import math
from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
)

from app.chat.attachment_bar import AttachmentBar
from app.chat.attachments import Attachments
from app.chat.blocks import wrap_mode_of
from app.chat.pictures import SUFFIXES, files_in, image_in
from app.chat.think_switch import ThinkSwitch
from app.icons import IconButton, icon
from app.theme import Theme

_MOST_LINES = 8
_SEND_SIZE = 34
_CHIP_LIFT = 3  # so that its middle is the button's
_MARGIN = 7  # of the document, above and below


class Composer(QFrame):
    sent = Signal(str)  # its text; the pictures are still among the attachments
    stopped = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("composer")
        self._theme = theme
        self._busy = False
        self._blind = False
        self.attachments = Attachments(self)
        self.attachments.changed.connect(self._refresh)
        self.bar = AttachmentBar(self.attachments, theme)
        self.attach = IconButton("picture", "Add a picture", theme, size=20)
        self.attach.setFixedSize(_SEND_SIZE, _SEND_SIZE)
        self.attach.clicked.connect(self._choose_files)
        self.input = _Input()
        self.input.submitted.connect(self._on_submitted)
        self.input.escaped.connect(self._on_escaped)
        self.input.textChanged.connect(self._refresh)
        self.input.files_pasted.connect(self.attachments.add_files)
        self.input.image_pasted.connect(self.attachments.add_image)
        self.button = QPushButton()
        self.button.setObjectName("send")
        self.button.setFixedSize(_SEND_SIZE, _SEND_SIZE)
        self.button.setIconSize(QSize(20, 20))
        self.button.clicked.connect(self._on_button)
        self.think = ThinkSwitch()
        self._lay_out()
        self.setFocusProxy(self.input)
        self._refresh()

    def _lay_out(self) -> None:
        bottom = Qt.AlignmentFlag.AlignBottom
        beside = QVBoxLayout()
        beside.setContentsMargins(0, 0, 0, _CHIP_LIFT)
        beside.addWidget(self.think, 0, bottom)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.attach, 0, bottom)
        line.addWidget(self.input, 1)
        line.addLayout(beside)
        line.addWidget(self.button, 0, bottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(7, 6, 7, 6)
        column.setSpacing(2)
        column.addWidget(self.bar)
        column.addLayout(line)

    def show_drop(self, over: bool) -> None:
        """Show that what hangs over the page can be dropped."""
        self.setProperty("drop", over)
        self.style().polish(self)

    def set_blind(self, blind: bool) -> None:
        """A message with pictures is not sent to a model that does not see."""
        self._blind = blind
        self._refresh()

    def set_busy(self, busy: bool) -> None:
        """While a reply is written, the button stops it."""
        self._busy = busy
        self._refresh()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.bar.set_theme(theme)
        self.attach.set_theme(theme)
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
        if not self._busy and self._can_send():
            text = self.input.toPlainText().strip()
            self.input.clear()
            self.sent.emit(text)

    @Slot()
    def _on_escaped(self) -> None:
        if self._busy:
            self.stopped.emit()

    def _can_send(self) -> bool:
        pictures = self.attachments
        if pictures.reading or (pictures.taken and self._blind):
            return False
        return bool(pictures.taken or self.input.toPlainText().strip())

    @Slot()
    def _choose_files(self) -> None:
        kinds = " ".join(f"*.{suffix}" for suffix in SUFFIXES)
        paths, _kind = QFileDialog.getOpenFileNames(
            self, "Add pictures", str(Path.home()), f"Pictures ({kinds})"
        )
        self.attachments.add_files(map(Path, paths))
        self.input.setFocus()

    @Slot()
    def _refresh(self) -> None:
        self.button.setEnabled(self._busy or self._can_send())
        color = self._theme.on_accent if self.button.isEnabled() else self._theme.muted
        self.button.setIcon(icon("stop" if self._busy else "send", color, 20))
        does = "Stop the reply (Esc)" if self._busy else "Send the message (Enter)"
        self.button.setToolTip(does)
        self.button.setAccessibleName("Stop" if self._busy else "Send")


class _Input(QPlainTextEdit):
    submitted = Signal()
    escaped = Signal()
    files_pasted = Signal(object)  # paths
    image_pasted = Signal(object)  # QImage

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

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        pictures = files_in(source, any_kind=False) or image_in(source) is not None
        return bool(pictures) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        if files := files_in(source, any_kind=False):
            self.files_pasted.emit(files)
            return
        if image := image_in(source):
            self.image_pasted.emit(image)
            return
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
