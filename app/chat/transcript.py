"""The transcript: a chat of any length, of which only the rows in sight have widgets."""

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal, SignalInstance, Slot
from PySide6.QtGui import QFocusEvent, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame

from app.chat.heights import Heights
from app.chat.rows import ReplyRow, Row, UserRow
from app.chat.session import ChatSession
from app.chat.thumbnail import SIDE
from app.icons import IconButton
from app.theme import Theme
from models.chat import Image, Text, ToolResult
from models.records.values import Turn

_MARGIN = 400  # pixels beyond the edges in which rows are kept ready
_AT_END = 32  # pixels from the end that still count as there
_STEP = 48
_ROUNDS = 6  # measuring a row moves those below it, which may bring others in sight
_JUMP_SIZE = 34
_BY_KEYBOARD = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
_GUESS_CHARACTERS, _GUESS_LINE, _GUESS_ROW, _GUESS_FOLD = 90, 22, 70, 34


class Transcript(QAbstractScrollArea):
    """Follows the end of the chat while the reader is there, and stays put where not."""

    retry_asked = Signal()
    picture_opened = Signal(object)  # Image

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("transcript")
        self.viewport().setObjectName("transcriptViewport")
        self.setAccessibleName("Conversation")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._theme = theme
        self._session: ChatSession | None = None
        self._heights = Heights()
        self._rows: dict[int, Row] = {}
        self._opened: set[tuple[str, int]] = set()  # folds, by turn and place
        self._following = True
        self._placing = False
        self._framed = False  # the keyboard has come here
        self._jump = IconButton("down", "Go to the end", theme, size=16)
        self._jump.setObjectName("jump")
        self._jump.setParent(self.viewport())
        self._jump.setFixedSize(QSize(_JUMP_SIZE, _JUMP_SIZE))
        self._jump.clicked.connect(self.follow)
        self._jump.hide()
        self.verticalScrollBar().setSingleStep(_STEP)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)

    @property
    def rows(self) -> dict[int, Row]:
        """Return the rows that have a widget now, by position."""
        return dict(self._rows)

    @property
    def following(self) -> bool:
        return self._following

    def show_session(self, session: ChatSession) -> None:
        if self._session:  # it may go on being answered, unseen
            for signal, slot in self._connections(self._session):
                signal.disconnect(slot)
        self._session = session
        for signal, slot in self._connections(session):
            signal.connect(slot)
        self._begin()

    def _connections(
        self, session: ChatSession
    ) -> tuple[tuple[SignalInstance, Callable[..., None]], ...]:
        return (
            (session.turn_added, self._on_turn_added),
            (session.turn_ended, self._on_turn_ended),
            (session.turns_dropped, self._on_turns_dropped),
            (session.reply_grew, self._on_reply_grew),
            (session.aside_grew, self._on_reply_grew),
            (session.state_changed, self._on_waiting),
            (session.share_changed, self._on_waiting),
        )

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._jump.set_theme(theme)
        self._drop_rows()
        self._place()

    @Slot()
    def follow(self) -> None:
        """Go to the end, and stay there while the chat grows."""
        self._following = True
        self._place()

    # -- What the session tells -----------------------------------------------

    def _begin(self) -> None:
        self._drop_rows()
        self._heights = Heights()
        for turn in self._turns():
            self._heights.append(_guess(turn))
        self.follow()

    @Slot(int)
    def _on_turn_added(self, position: int) -> None:
        turn = self._turns()[position]
        self._heights.append(_guess(turn))
        self._following = self._following or turn.role == "user"  # who writes wants to read on
        self._mark_last()
        self._place()

    @Slot(int)
    def _on_turn_ended(self, _position: int) -> None:
        self._mark_last()

    @Slot(int)
    def _on_turns_dropped(self, position: int) -> None:
        self._heights.cut(position)
        for row in [each for each in self._rows if each >= position]:
            self._drop(row)
        self._place()

    @Slot()
    def _on_reply_grew(self) -> None:
        position = len(self._heights) - 1
        if isinstance(row := self._rows.get(position), ReplyRow):
            row.grow(self._turns()[position])

    @Slot()
    def _on_waiting(self) -> None:
        row = self._rows.get(len(self._heights) - 1)
        if self._session and isinstance(row, ReplyRow):
            row.wait(self._session.state, self._session.share)

    def _turns(self) -> tuple[Turn, ...]:
        return self._session.turns if self._session else ()

    def _mark_last(self) -> None:
        """Only the last reply offers to be asked for again."""
        turns = self._turns()
        for position, row in list(self._rows.items()):
            if isinstance(row, ReplyRow) and position < len(turns):
                row.end(turns[position], last=self._is_last(position))

    def _is_last(self, position: int) -> bool:
        idle = self._session is not None and not self._session.busy
        return idle and position == len(self._heights) - 1

    # -- Rows -----------------------------------------------------------------

    def _place(self) -> None:
        """Make, measure and move the rows near the viewport; drop those far from it."""
        if self._placing:
            return
        self._placing = True
        try:
            for _ in range(_ROUNDS):
                if not self._measure():
                    break
            self._move()
        finally:
            self._placing = False

    def _measure(self) -> bool:
        """Lay out what is in sight. True: something has moved, and more may be in sight."""
        # Not the viewport's width: the column stays where it is when a scroll bar comes.
        bar, width = self.verticalScrollBar(), self.width()
        top = bar.value()
        anchor = self._heights.row_at(top) if len(self._heights) else 0
        within = top - self._heights.top(anchor) if len(self._heights) else 0
        wanted = self._wanted()
        for position in [each for each in self._rows if each not in wanted]:
            self._drop(position)
        moved = False
        for position in sorted(wanted):
            row = self._rows.get(position) or self._make(position)
            height = row.lay_out(width)
            if height != self._heights[position]:
                self._heights.set(position, height)
                moved = True
        self._set_range()
        if self._following:
            bar.setValue(bar.maximum())
        elif moved:
            bar.setValue(self._heights.top(anchor) + within)
        return moved or bar.value() != top

    def _wanted(self) -> set[int]:
        top = self.verticalScrollBar().value()
        bottom = top + self.viewport().height()
        wanted = set(self._heights.between(top - _MARGIN, bottom + _MARGIN))
        focused = QApplication.focusWidget()
        if focused is not None:  # the keyboard's place is not pulled away
            wanted |= {at for at, row in self._rows.items() if row.isAncestorOf(focused)}
        return wanted

    def _set_range(self) -> None:
        bar, height = self.verticalScrollBar(), self.viewport().height()
        bar.setPageStep(height)
        bar.setRange(0, max(0, self._heights.total - height))

    def _move(self) -> None:
        bar = self.verticalScrollBar()
        for position, row in list(self._rows.items()):
            row.move(0, self._heights.top(position) - bar.value())
            row.show()
        view = self.viewport()
        self._jump.move((view.width() - _JUMP_SIZE) // 2, view.height() - _JUMP_SIZE - 8)
        self._jump.setVisible(not self._following and bar.value() < bar.maximum() - _AT_END)
        self._jump.raise_()

    def _make(self, position: int) -> Row:
        turn = self._turns()[position]
        if turn.role == "user" and not any(isinstance(part, ToolResult) for part in turn.parts):
            row: Row = UserRow(turn, self._theme)
        else:
            row = ReplyRow(turn, self._theme, self._opened)
            row.retry_asked.connect(self.retry_asked)
            row.end(turn, last=self._is_last(position))
            if self._session and self._session.busy and position == len(self._heights) - 1:
                row.wait(self._session.state, self._session.share)
        row.setParent(self.viewport())
        row.changed.connect(self._on_row_changed)
        row.picture_opened.connect(self.picture_opened)
        self._rows[position] = row
        return row

    def _drop(self, position: int) -> None:
        row = self._rows.pop(position)
        row.hide()
        row.deleteLater()

    def _drop_rows(self) -> None:
        for position in list(self._rows):
            self._drop(position)

    @Slot()
    def _on_row_changed(self) -> None:
        self._place()

    @Slot()
    def _on_scrolled(self) -> None:
        if not self._placing:
            bar = self.verticalScrollBar()
            self._following = bar.value() >= bar.maximum() - _AT_END
            self._place()

    # -- Qt's -----------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        match event.key():
            case Qt.Key.Key_Home:
                bar.setValue(0)
            case Qt.Key.Key_End:
                self.follow()
            case _:
                super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._framed = event.reason() in _BY_KEYBOARD
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._framed = False
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._framed:
            painter = QPainter(self.viewport())
            painter.setPen(self._theme.accent)
            painter.drawRect(self.viewport().rect().adjusted(0, 0, -1, -1))

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """The rows are moved by ``_place``."""


def _guess(turn: Turn) -> int:
    lines = len(turn.text) // _GUESS_CHARACTERS + turn.text.count("\n")
    folds = sum(not isinstance(part, Text | Image) for part in turn.parts)
    pictures = SIDE if turn.images else 0
    return _GUESS_ROW + lines * _GUESS_LINE + folds * _GUESS_FOLD + pictures
