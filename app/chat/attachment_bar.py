"""Above the message: the pictures that go with it, and what is to be said of them."""

from functools import partial

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.chat.attachments import Attachments
from app.chat.pictures import Taken
from app.chat.thumbnail import Thumbnail
from app.icons import IconButton
from app.theme import Theme

_SIDE = 64
_REMOVE = 18
_OVERLAP = 7  # by which the cross stands out of its picture
_GAP = 4
_MOST_LINES = 2  # of pictures; more are counted


class AttachmentBar(QWidget):
    opened = Signal(object)  # Image
    advised = Signal()  # what the note offers was asked for

    def __init__(self, attachments: Attachments, theme: Theme) -> None:
        super().__init__()
        self._attachments = attachments
        self._theme = theme
        self._advice = self._offer = self._problem = ""
        self._strip = _Strip()
        self._strip.left_out.connect(self._tell)
        self._count = QLabel()
        self._count.setObjectName("small")
        self._note = QLabel()
        self._note.setWordWrap(True)
        self._button = QPushButton()
        self._button.setProperty("kind", "link")
        self._button.clicked.connect(self.advised)
        below = QHBoxLayout()
        below.setSpacing(10)
        below.addWidget(self._note, 1)
        below.addWidget(self._button)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.setSpacing(4)
        column.addWidget(self._strip)
        column.addWidget(self._count)
        column.addLayout(below)
        attachments.changed.connect(self._on_changed)
        attachments.refused.connect(self._on_refused)
        self._show()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._show()

    def advise(self, sentence: str, offer: str = "") -> None:
        """Say what hinders, and offer a way out; empty: nothing does."""
        if (sentence, offer) != (self._advice, self._offer):
            self._advice, self._offer = sentence, offer
            self._say()

    @Slot()
    def _on_changed(self) -> None:
        self._problem = ""
        self._show()

    @Slot(str)
    def _on_refused(self, sentence: str) -> None:
        self._problem = sentence
        self._say()

    def _show(self) -> None:
        taken = self._attachments.taken
        self._strip.show_widgets(
            [self._attached(place, each, len(taken)) for place, each in enumerate(taken)]
        )
        self._say()

    @Slot()
    def _tell(self) -> None:
        """Say what is not to be seen: a picture that is still read, and those without room."""
        more = self._strip.hidden_count
        words = "Reading a picture …" if self._attachments.reading else ""
        self._count.setText(words or (f"and {more} more" if more else ""))
        self._count.setVisible(bool(self._count.text()))

    def _attached(self, place: int, taken: Taken, count: int) -> QWidget:
        holder = _Attached(taken, self._theme, f"Picture {place + 1} of {count}")
        holder.thumbnail.opened.connect(self.opened)
        holder.removed.connect(partial(self._attachments.remove, place))
        return holder

    def _say(self) -> None:
        self._tell()
        said = self._problem or self._advice
        self._note.setText(said)
        self._note.setObjectName("error" if self._problem else "muted")
        self._note.style().polish(self._note)
        self._note.setVisible(bool(said))
        self._button.setText(self._offer)
        self._button.setVisible(bool(self._offer) and not self._problem)
        shown = bool(said) or bool(self._attachments.taken) or self._attachments.reading
        self.setVisible(shown)


class _Strip(QWidget):
    """Pictures in lines as wide as there is room, and no more lines than a few."""

    left_out = Signal()  # how many have no room may be another number

    def __init__(self) -> None:
        super().__init__()
        self.hidden_count = 0
        self._widgets: list[QWidget] = []

    def show_widgets(self, widgets: list[QWidget]) -> None:
        for widget in self._widgets:
            widget.hide()
            widget.deleteLater()
        self._widgets = widgets
        for widget in widgets:
            widget.setParent(self)
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()

    def _arrange(self) -> None:
        step = _SIDE + _OVERLAP + _GAP
        in_line = max(1, (self.width() + _GAP) // step)
        shown = min(len(self._widgets), in_line * _MOST_LINES)
        for number, widget in enumerate(self._widgets):
            line, place = divmod(number, in_line)
            widget.move(place * step, line * step)
            widget.setVisible(number < shown)
        self.hidden_count = len(self._widgets) - shown
        self.setFixedHeight(-(-shown // in_line) * step)
        self.left_out.emit()


class _Attached(QWidget):
    """One picture, and the cross that takes it away; so does the key Delete."""

    removed = Signal()

    def __init__(self, taken: Taken, theme: Theme, place: str) -> None:
        super().__init__()
        self.setFixedSize(QSize(_SIDE + _OVERLAP, _SIDE + _OVERLAP))
        self.thumbnail = Thumbnail(taken.image, theme, _SIDE, place=place)
        self.thumbnail.setParent(self)
        self.thumbnail.move(0, _OVERLAP)
        self.thumbnail.show_small(taken.small)
        self._cross = IconButton("close", f"Remove {place.lower()}", theme, size=12)
        self._cross.setObjectName("cross")
        self._cross.setParent(self)
        self._cross.setGeometry(_SIDE + _OVERLAP - _REMOVE, 0, _REMOVE, _REMOVE)
        self._cross.clicked.connect(self.removed)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
        else:
            super().keyPressEvent(event)
