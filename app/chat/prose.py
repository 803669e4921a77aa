"""What is said in a reply: a widget for each block of its markdown, made as the text grows."""

from dataclasses import dataclass

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QWidget

from app.chat.blocks import (
    LIST_INDENT,
    QUOTE_INDENT,
    CodeBlock,
    RuleBlock,
    TextBlock,
    widget_for,
)
from app.chat.markdown import Block, Blocks
from app.theme import Theme

BLOCK_GAP = 12
_HEADING_GAP = 8  # more, above a heading
_BAR_WIDTH = 3  # beside a quote


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


class Prose:
    """``bars`` are those beside quotes, which the row paints."""

    def __init__(self, theme: Theme, row: QWidget) -> None:
        self.bars: list[QRect] = []
        self._theme = theme
        self._row = row
        self._parser = Blocks()
        self._shown: list[_Shown] = []

    def show_text(self, text: str, *, growing: bool) -> None:
        """Blocks that have not changed are not touched."""
        blocks = self._parser.of(text)
        for index, block in enumerate(blocks):
            grows = growing and index == len(blocks) - 1
            if not self._update(index, block, growing=grows):
                self._drop_from(index)
                widget = widget_for(block, self._theme)
                widget.setParent(self._row)
                widget.show_block(block, growing=grows)
                widget.show()
                self._shown.append(_Shown(block, grows, widget))
        self._drop_from(len(blocks))

    def drop(self) -> None:
        self._drop_from(0)

    def place(self, left: int, y: int, width: int, *, first: bool) -> int:
        """Put the blocks below ``y``; return where what follows them begins."""
        self.bars = []
        bottom = 0
        above: list[int] = []  # where the block above has bars: they go on without a gap
        for shown in self._shown:
            y += _HEADING_GAP if shown.block.heading and not first else 0
            first = False
            indent, bars = _indent(shown.block)
            height = shown.fit(width - indent)
            shown.widget.setGeometry(left + indent, y, width - indent, height)
            for x in bars:
                top = bottom if x in above else y
                self.bars.append(QRect(left + x, top, _BAR_WIDTH, y + height - top))
            above, bottom = bars, y + height
            y = bottom + BLOCK_GAP
        return y

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


def _indent(block: Block) -> tuple[int, list[int]]:
    """Return how far in a block stands, and where the bars of its quotes are."""
    x = 0
    bars: list[int] = []
    for container in block.inside:
        if container == "quote":
            bars.append(x)
        x += QUOTE_INDENT if container == "quote" else LIST_INDENT
    return x, bars
