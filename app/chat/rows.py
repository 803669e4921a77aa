"""The rows of the transcript: what the user said, and what a model replied."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from app.chat.blocks import LIST_INDENT, CodeBlock, CopyButton, RuleBlock, TextBlock, widget_for
from app.chat.markdown import Block, Blocks
from app.chat.session import State
from app.icons import IconButton
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
_DOTS_MS = 400
_LEAST_MEASURED_SECONDS = 0.1  # a shorter reply says nothing of a model's speed
_THREE_DIGITS = 100  # tokens/s; from here on a decimal says nothing


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
        self._status = _Status(self)
        self._failure = _Failure(self.retry_asked.emit, self)
        self._footer = _Footer(theme, self)
        self._footer.copy.clicked.connect(self._copy)
        self._footer.retry.clicked.connect(self.retry_asked)
        self._show_text()
        self._show_outcome(last=False)

    def grow(self, turn: Turn) -> None:
        """Show more of the reply. Blocks that have not changed are not touched."""
        self._turn = turn
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
        self.setAccessibleName(f"{turn.model}: {turn.text}")
        writing = turn.outcome is Outcome.WRITING
        self._footer.setVisible(not writing and bool(turn.text or not turn.error))
        self._footer.say(_stats(turn))
        self._footer.copy.setVisible(bool(turn.text))
        self._footer.retry.setVisible(last and not turn.error)
        self._failure.say(turn.error, last=last)

    def _place(self, left: int, width: int) -> int:
        y = _ROW_GAP
        for shown in self._shown:
            indent = shown.block.indent * LIST_INDENT
            y += _HEADING_GAP if y > _ROW_GAP and shown.block.heading else 0
            height = shown.fit(width - indent)
            shown.widget.setGeometry(left + indent, y, width - indent, height)
            y += height + _BLOCK_GAP
        for part in (self._status, self._failure):
            if not part.isHidden():
                height = part.fit(width)
                part.setGeometry(left, y, width, height)
                y += height + _BLOCK_GAP
        if not self._footer.isHidden():
            self._footer.setGeometry(left - 4, y - 4, width + 4, _FOOTER_HEIGHT)
            y += _FOOTER_HEIGHT
        return y + _ROW_GAP - _BLOCK_GAP

    @Slot()
    def _copy(self) -> None:
        self._footer.copy.copy(self._turn.text)


class _Status(QLabel):
    """What is happening now, with dots that move while it does."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("muted")
        self._words = ""
        self._dots = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_DOTS_MS)
        self._timer.timeout.connect(self._tick)
        self.hide()

    def say(self, words: str) -> None:
        self._words = words
        self._dots = 0
        self.setVisible(bool(words))
        self.setAccessibleName(words)
        if words:
            self._timer.start()
        else:
            self._timer.stop()
        self._tick()

    def fit(self, width: int) -> int:
        return self.fontMetrics().height() + 2

    @Slot()
    def _tick(self) -> None:
        self._dots = self._dots % 3 + 1
        self.setText(self._words + " " + "." * self._dots)


class _Failure(QFrame):
    """One sentence on what went wrong, and what can be done."""

    def __init__(self, retry: Callable[[], None], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("failure")
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._sentence.setObjectName("error")
        self._retry = QPushButton("Try again")
        self._retry.clicked.connect(retry)
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(14, 10, 10, 10)
        self._line.setSpacing(12)
        self._line.addWidget(self._sentence, 1)
        self._line.addWidget(self._retry)
        self.hide()

    def say(self, sentence: str, *, last: bool) -> None:
        self._sentence.setText(sentence)
        self._retry.setVisible(last)
        self.setVisible(bool(sentence))

    def fit(self, width: int) -> int:
        return self._line.heightForWidth(width)


class _Footer(QWidget):
    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.copy = CopyButton("reply", theme)
        self.retry = IconButton("retry", "Answer again", theme, size=16)
        self._stats = QLabel()
        self._stats.setObjectName("small")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        line.addWidget(self.copy)
        line.addWidget(self.retry)
        line.addSpacing(6)
        line.addWidget(self._stats, 1)

    def say(self, stats: str) -> None:
        self._stats.setText(stats)


_ENDINGS = {
    Outcome.STOPPED: "Stopped",
    Outcome.CUT: "Ended here: the context is full",
    Outcome.INTERRUPTED: "Interrupted",
}


def _stats(turn: Turn) -> str:
    facts = [turn.model.removesuffix(":latest")]
    if turn.completion_tokens:
        facts.append(f"{turn.completion_tokens:,} token{'s' * (turn.completion_tokens != 1)}")
    if turn.decode_seconds > _LEAST_MEASURED_SECONDS:
        rate = turn.completion_tokens / turn.decode_seconds
        facts.append(f"{rate:,.{0 if rate >= _THREE_DIGITS else 1}f} tokens/s")
    if ending := _ENDINGS.get(turn.outcome):
        facts.append(ending)
    return "  ·  ".join(facts)
