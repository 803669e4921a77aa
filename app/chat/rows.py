"""The rows of the transcript: what the user said, and what a model replied."""

from dataclasses import dataclass

from PySide6.QtCore import QRect, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from app import words
from app.chat.blocks import (
    LIST_INDENT,
    QUOTE_INDENT,
    CodeBlock,
    RuleBlock,
    TextBlock,
    widget_for,
)
from app.chat.ending import Failure, Footer, Note, Status, stats_of
from app.chat.markdown import Block, Blocks
from app.chat.session import State
from app.theme import Theme
from models.records.values import Outcome, Turn

COLUMN_WIDTH = 760  # pixels: some 95 characters, as wide as reads well
_SIDE = 24
_ROW_GAP = 14  # above and below a row
_BLOCK_GAP = 12
_HEADING_GAP = 8  # more, above a heading
_BUBBLE_PAD_X, _BUBBLE_PAD_TOP, _BUBBLE_PAD_BOTTOM = 16, 8, 12  # letters hang low in a line
_BUBBLE_SHARE = 0.85  # of the column, at most
_FOOTER_HEIGHT = 28
_BAR_WIDTH = 3  # beside a quote


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


@dataclass(slots=True)
class _Shown:
    block: Block
    growing: bool
    widget: TextBlock | CodeBlock | RuleBlock
    fitted: tuple[int, int] | None = None  # width and height; None: to be asked again

    def fit(self, width: int) -> int:
        if self.fitted is None or self.fitted[0] != width:
            self.fitted = (width, self.widget.fit(width))
        return self.fitted[1]


class ReplyRow(Row):
    """A reply: its blocks, what is happening while it grows, and what came of it."""

    retry_asked = Signal()

    def __init__(self, turn: Turn, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._turn = turn
        self._parser = Blocks()
        self._shown: list[_Shown] = []
        self._bars: list[QRect] = []  # beside quotes
        self._left_out = Note(self)
        self._status = Status(self)
        self._failure = Failure(self.retry_asked.emit, self)
        self._footer = Footer(theme, self)
        self._footer.copy.clicked.connect(self._copy)
        self._footer.retry.clicked.connect(self.retry_asked)
        self._show_text()
        self._show_outcome(last=False)

    def grow(self, turn: Turn) -> None:
        """Show more of the reply. Blocks that have not changed are not touched."""
        self._turn = turn
        self._left_out.say(words.left_out(turn.dropped_messages))
        self._status.say("")
        self._show_text()
        self._touch()

    def end(self, turn: Turn, *, last: bool) -> None:
        """Show how it ended; only the last reply can be asked for again."""
        self._turn = turn
        self._status.say("")
        self._show_text()
        self._show_outcome(last=last)
        self._touch()

    def wait(self, state: State) -> None:
        """Say what is happening before the first word."""
        match state:
            case State.LOADING:
                self._status.say(f"Loading {self._turn.model.removesuffix(':latest')}")
            case State.READING:
                self._status.say("Reading")
            case _:
                self._status.say("")
        self._touch()

    def _show_text(self) -> None:
        blocks = self._parser.of(self._turn.text)
        for index, block in enumerate(blocks):
            growing = self._turn.outcome is Outcome.WRITING and index == len(blocks) - 1
            if not self._update(index, block, growing=growing):
                self._drop_from(index)
                widget = widget_for(block, self._theme)
                widget.setParent(self)
                widget.show_block(block, growing=growing)
                widget.show()
                self._shown.append(_Shown(block, growing, widget))
        self._drop_from(len(blocks))

    def _update(self, index: int, block: Block, *, growing: bool) -> bool:
        """Bring the widget at this place up to date. False: it cannot show the block."""
        if index >= len(self._shown):
            return False
        shown = self._shown[index]
        if (shown.block.kind, shown.block.language) != (block.kind, block.language):
            return False
        if shown.block != block or (block.kind == "code" and shown.growing != growing):
            shown.widget.show_block(block, growing=growing)
            self._shown[index] = _Shown(block, growing, shown.widget)
        return True

    def _drop_from(self, index: int) -> None:
        for shown in self._shown[index:]:
            shown.widget.hide()
            shown.widget.deleteLater()
        del self._shown[index:]

    def _show_outcome(self, *, last: bool) -> None:
        turn = self._turn
        self._left_out.say(words.left_out(turn.dropped_messages))
        self.setAccessibleName(f"{turn.model}: {turn.text}")
        writing = turn.outcome is Outcome.WRITING
        self._footer.setVisible(not writing and bool(turn.text or not turn.error))
        self._footer.say(stats_of(turn))
        self._footer.copy.setVisible(bool(turn.text))
        self._footer.retry.setVisible(last and not turn.error)
        self._failure.say(turn.error, last=last)

    def _place(self, left: int, width: int) -> int:
        y = self._place_blocks(left, width)
        for part in (self._status, self._failure):
            if not part.isHidden():
                height = part.fit(width)
                part.setGeometry(left, y, width, height)
                y += height + _BLOCK_GAP
        if not self._footer.isHidden():
            self._footer.setGeometry(left - 4, y - 4, width + 4, _FOOTER_HEIGHT)
            y += _FOOTER_HEIGHT
        return y + _ROW_GAP - _BLOCK_GAP

    def _place_blocks(self, left: int, width: int) -> int:
        self._bars = []
        y, bottom = _ROW_GAP, 0
        if not self._left_out.isHidden():
            height = self._left_out.fit(width)
            self._left_out.setGeometry(left, y, width, height)
            y += height + _BLOCK_GAP
        above: list[int] = []  # where the block above has bars: they go on without a gap
        for shown in self._shown:
            y += _HEADING_GAP if y > _ROW_GAP and shown.block.heading else 0
            indent, bars = _indent(shown.block)
            height = shown.fit(width - indent)
            shown.widget.setGeometry(left + indent, y, width - indent, height)
            for x in bars:
                top = bottom if x in above else y
                self._bars.append(QRect(left + x, top, _BAR_WIDTH, y + height - top))
            above, bottom = bars, y + height
            y = bottom + _BLOCK_GAP
        self.update()
        return y

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        for bar in self._bars:
            painter.fillRect(bar, QColor(self._theme.line))

    @Slot()
    def _copy(self) -> None:
        self._footer.copy.copy(self._turn.text)


def _indent(block: Block) -> tuple[int, list[int]]:
    """Return how far in a block stands, and where the bars of its quotes are."""
    x = 0
    bars: list[int] = []
    for container in block.inside:
        if container == "quote":
            bars.append(x)
        x += QUOTE_INDENT if container == "quote" else LIST_INDENT
    return x, bars
