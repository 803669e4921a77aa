"""The rows of the transcript: what the user said, and what a model replied."""

from functools import partial

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from app import words
from app.chat.asides import aside_of, spoken
from app.chat.blocks import TextBlock
from app.chat.ending import Failure, Footer, Note, Status, stats_of
from app.chat.fold import Fold
from app.chat.prose import BLOCK_GAP, Prose
from app.chat.session import State
from app.theme import Theme
from models.chat import Text
from models.records.values import Outcome, Turn

COLUMN_WIDTH = 760  # pixels: some 95 characters, as wide as reads well
_SIDE = 24
_ROW_GAP = 14  # above and below a row
_BUBBLE_PAD_X, _BUBBLE_PAD_TOP, _BUBBLE_PAD_BOTTOM = 16, 8, 12  # letters hang low in a line
_BUBBLE_SHARE = 0.85  # of the column, at most
_FOOTER_HEIGHT = 28
_FOLD_GAP = 6  # below one


class Row(QWidget):
    """One turn. ``lay_out`` gives it a width and says how high it is then."""

    changed = Signal()  # its height may be another

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
        self.setAccessibleName(f"You: {turn.text}")
        self._bubble = QFrame(self)
        self._bubble.setObjectName("bubble")
        self._text = TextBlock(theme)
        self._text.setParent(self._bubble)
        self._text.setAccessibleName("Your message")
        self._text.show_plain(turn.text)

    def _place(self, left: int, width: int) -> int:
        most = int(width * _BUBBLE_SHARE) - 2 * _BUBBLE_PAD_X
        inner = self._text.natural_width(most)
        height = self._text.fit(inner)
        whole = inner + 2 * _BUBBLE_PAD_X
        self._text.setGeometry(_BUBBLE_PAD_X, _BUBBLE_PAD_TOP, inner, height)
        height += _BUBBLE_PAD_TOP + _BUBBLE_PAD_BOTTOM
        self._bubble.setGeometry(left + width - whole, _ROW_GAP, whole, height)
        return height + 2 * _ROW_GAP


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
        self._parts: list[Prose | Fold] = []
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
        for place, part in enumerate(self._turn.parts):
            aside = aside_of(self._turn, place)
            if aside is None:
                growing = (
                    self._turn.outcome is Outcome.WRITING and place == len(self._turn.parts) - 1
                )
                text = part.text if isinstance(part, Text) else ""
                self._prose(place).show_text(text, growing=growing)
            else:
                self._fold(place).show_aside(aside)
        self._drop_from(len(self._turn.parts))

    def _prose(self, place: int) -> Prose:
        shown = self._parts[place] if place < len(self._parts) else None
        if not isinstance(shown, Prose):
            self._drop_from(place)
            shown = Prose(self._theme, self)
            self._parts.append(shown)
        return shown

    def _fold(self, place: int) -> Fold:
        shown = self._parts[place] if place < len(self._parts) else None
        if not isinstance(shown, Fold):
            self._drop_from(place)
            shown = Fold(self._theme, self)
            shown.set_open((self._turn.id, place) in self._opened)
            shown.toggled.connect(partial(self._on_toggled, place))
            shown.show()
            self._parts.append(shown)
        return shown

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
                y += height + (BLOCK_GAP if shown.open else _FOLD_GAP)
        return y

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for shown in self._parts:
            for bar in shown.bars if isinstance(shown, Prose) else ():
                painter.fillRect(bar, QColor(self._theme.line))

    @Slot()
    def _copy(self) -> None:
        self._footer.copy.copy(self._turn.text)
