"""The rows of the transcript: what the user said, and what a model replied."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from app import words
from app.chat.blocks import TextBlock
from app.chat.ending import Failure, Footer, Note, Status, stats_of
from app.chat.fold import Fold
from app.chat.prose import BLOCK_GAP, Prose
from app.chat.session import State
from app.chat.shown import Aside, Pictures, Said, Shown, shown_of, spoken
from app.chat.thumbnail import Gallery
from app.theme import Theme
from models.chat import Image
from models.records.values import Outcome, Turn

COLUMN_WIDTH = 760  # pixels: some 95 characters, as wide as reads well
_SIDE = 24
_ROW_GAP = 14  # above and below a row
_BUBBLE_PAD_X, _BUBBLE_PAD_TOP, _BUBBLE_PAD_BOTTOM = 16, 8, 12  # letters hang low in a line
_BUBBLE_SHARE = 0.85  # of the column, at most
_FOOTER_HEIGHT = 28
_FOLD_GAP = 6  # below one

_W = TypeVar("_W", Prose, Fold, Gallery)


class Row(QWidget):
    """One turn. ``lay_out`` gives it a width and says how high it is then."""

    changed = Signal()  # its height may be another
    picture_opened = Signal(object)  # Image

    def __init__(self) -> None:
        super().__init__()
        self._laid_out: tuple[int, int] | None = None  # width, height; None: anew

    def lay_out(self, width: int) -> int:
        if self._laid_out is None or self._laid_out[0] != width:
            column = min(COLUMN_WIDTH, width - 2 * _SIDE)
            height = self._place((width - column) // 2, column)
            self._laid_out = (width, height)
            self.resize(width, height)
        return self._laid_out[1]

    def _place(self, left: int, width: int) -> int:
        """Put the children into a column, and return the row's height."""
        raise NotImplementedError

    def _touch(self) -> None:
        self._laid_out = None
        self.changed.emit()


class UserRow(Row):
    def __init__(self, turn: Turn, theme: Theme) -> None:
        super().__init__()
        self.setAccessibleName(f"You: {turn.text}{_pictures_told(turn.images)}")
        self._bubble = QFrame(self)
        self._bubble.setObjectName("bubble")
        self._gallery: Gallery | None = None
        if turn.images:
            self._gallery = Gallery(turn.images, theme, self)
            self._gallery.opened.connect(self.picture_opened)
        self._text = TextBlock(theme)
        self._text.setParent(self._bubble)
        self._text.setAccessibleName("Your message")
        self._text.show_plain(turn.text)
        self._bubble.setVisible(bool(turn.text) or not turn.images)

    def _place(self, left: int, width: int) -> int:
        most = int(width * _BUBBLE_SHARE)
        y = _ROW_GAP
        if self._gallery:
            whole = self._gallery.natural_width(most)
            height = self._gallery.fit(whole)
            self._gallery.setGeometry(left + width - whole, y, whole, height)
            y += height + (_FOLD_GAP if not self._bubble.isHidden() else 0)
        if not self._bubble.isHidden():
            inner = self._text.natural_width(most - 2 * _BUBBLE_PAD_X)
            height = self._text.fit(inner)
            whole = inner + 2 * _BUBBLE_PAD_X
            self._text.setGeometry(_BUBBLE_PAD_X, _BUBBLE_PAD_TOP, inner, height)
            height += _BUBBLE_PAD_TOP + _BUBBLE_PAD_BOTTOM
            self._bubble.setGeometry(left + width - whole, y, whole, height)
            y += height
        return y + _ROW_GAP


def _pictures_told(images: Sequence[Image]) -> str:
    if not images:
        return ""
    names = ", ".join(image.name for image in images if image.name)
    count = "a picture" if len(images) == 1 else f"{len(images)} pictures"
    return f" (with {count}{': ' if names else ''}{names})"


class ReplyRow(Row):
    """What a model or a tool said: its parts in their order, and what came of it.

    ``opened`` are the folds that are open, by turn and place: they stay so when the row goes.
    """

    retry_asked = Signal()

    def __init__(self, turn: Turn, theme: Theme, opened: set[tuple[str, int]]) -> None:
        super().__init__()
        self._theme = theme
        self._turn = turn
        self._opened = opened
        self._parts: list[Prose | Fold | Gallery] = []
        self._left_out = Note(self)
        self._status = Status(self)
        self._failure = Failure(self.retry_asked.emit, self)
        self._footer = Footer(theme, self)
        self._footer.copy.clicked.connect(self._copy)
        self._footer.retry.clicked.connect(self.retry_asked)
        self._show_parts()
        self._show_outcome(last=False)

    def grow(self, turn: Turn) -> None:
        """Show more of the reply."""
        self._turn = turn
        self._left_out.say(words.left_out(turn.dropped_messages))
        self._status.say("")
        self._show_parts()
        self._touch()

    def end(self, turn: Turn, *, last: bool) -> None:
        """Show how it ended; only the last reply can be asked for again."""
        self._turn = turn
        self._status.say("")
        self._show_parts()
        self._show_outcome(last=last)
        self._touch()

    def wait(self, state: State, share: float | None) -> None:
        """Say what is happening before the first word, and how far it is where that is known."""
        match state:
            case State.LOADING:
                self._status.say(f"Loading {self._turn.model.removesuffix(':latest')}", share)
            case State.READING:
                self._status.say("Reading", share)
            case _:
                self._status.say("")
        self._touch()

    def _show_parts(self) -> None:
        shown = shown_of(self._turn)
        for place, each in enumerate(shown):
            match each:
                case Said(text, growing):
                    self._widget(place, each, Prose).show_text(text, growing=growing)
                case Aside():
                    self._widget(place, each, Fold).show_aside(each)
                case Pictures():
                    self._widget(place, each, Gallery)
        self._drop_from(len(shown))

    def _widget(self, place: int, shown: Shown, kind: type[_W]) -> _W:
        """Return what shows the part at this place; of another kind it is made anew."""
        there = self._parts[place] if place < len(self._parts) else None
        if isinstance(there, kind):
            return there
        self._drop_from(place)
        made = self._make(place, shown)
        assert isinstance(made, kind)
        self._parts.append(made)
        return made

    def _make(self, place: int, shown: Shown) -> "Prose | Fold | Gallery":
        match shown:
            case Said():
                return Prose(self._theme, self)
            case Aside():
                fold = Fold(self._theme, self)
                fold.set_open((self._turn.id, place) in self._opened)
                fold.toggled.connect(partial(self._on_toggled, place))
                fold.show()
                return fold
            case Pictures(images):
                gallery = Gallery(images, self._theme, self)
                gallery.opened.connect(self.picture_opened)
                gallery.show()
                return gallery

    def _drop_from(self, place: int) -> None:
        for shown in self._parts[place:]:
            if isinstance(shown, Prose):
                shown.drop()
            else:
                shown.hide()
                shown.deleteLater()
        del self._parts[place:]

    def _on_toggled(self, place: int, open_: bool) -> None:
        (self._opened.add if open_ else self._opened.discard)((self._turn.id, place))
        self._touch()

    def _show_outcome(self, *, last: bool) -> None:
        turn = self._turn
        self._left_out.say(words.left_out(turn.dropped_messages))
        self.setAccessibleName(spoken(turn))
        ended = turn.outcome is not Outcome.WRITING and turn.role == "assistant"
        self._footer.setVisible(ended and bool(turn.text or not turn.error))
        self._footer.say(stats_of(turn))
        self._footer.copy.setVisible(bool(turn.text))
        self._footer.retry.setVisible(last and not turn.error)
        self._failure.say(turn.error, last=last)

    def _place(self, left: int, width: int) -> int:
        y = _ROW_GAP
        if not self._left_out.isHidden():
            height = self._left_out.fit(width)
            self._left_out.setGeometry(left, y, width, height)
            y += height + BLOCK_GAP
        y = self._place_parts(left, y, width)
        for part in (self._status, self._failure):
            if not part.isHidden():
                height = part.fit(width)
                part.setGeometry(left, y, width, height)
                y += height + BLOCK_GAP
        if not self._footer.isHidden():
            self._footer.setGeometry(left - 4, y - 4, width + 4, _FOOTER_HEIGHT)
            y += _FOOTER_HEIGHT
        self.update()
        return y + _ROW_GAP - BLOCK_GAP

    def _place_parts(self, left: int, y: int, width: int) -> int:
        top = y
        for shown in self._parts:
            if isinstance(shown, Prose):
                y = shown.place(left, y, width, first=y == top)
            else:
                height = shown.fit(width)
                shown.setGeometry(left, y, width, height)
                folded = isinstance(shown, Fold) and not shown.open
                y += height + (_FOLD_GAP if folded else BLOCK_GAP)
        return y

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for shown in self._parts:
            for bar in shown.bars if isinstance(shown, Prose) else ():
                painter.fillRect(bar, QColor(self._theme.line))

    @Slot()
    def _copy(self) -> None:
        self._footer.copy.copy(self._turn.text)
