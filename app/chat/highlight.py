"""Colours for code, found a little at a time so that the window never waits for them."""

import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import (
    QColor,
    QFont,
    QSyntaxHighlighter,
    QTextBlock,
    QTextCharFormat,
    QTextDocument,
)

from app.theme import Theme

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_SLICE_SECONDS = 0.004  # of the GUI thread's time, at once
_REST = 3  # times as long as a pass took, before the next one over growing code
_LONGEST_GROWING = 20_000  # characters; longer code is coloured when it is complete

_Span = tuple[int, int, str]  # column, length, Pygments token type


class Highlighter(QSyntaxHighlighter):
    """Colours one document by its language. ``refresh`` after its text has changed.

    Pygments reads the code in slices of a few milliseconds, on the GUI thread: a worker
    would hold the same interpreter lock.
    """

    def __init__(self, document: QTextDocument, language: str, theme: Theme) -> None:
        super().__init__(document)
        self._language = language
        self._colors = theme.code_colors
        self._lines: list[list[_Span]] = []
        self._pass: Iterator[None] | None = None
        self._pass_seconds = 0.0
        self._stale = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)

    def refresh(self, *, growing: bool) -> None:
        """Colour the text anew, soon."""
        document = self.document()
        if growing and document.characterCount() > _LONGEST_GROWING:
            return
        self._stale = True
        if self._pass is None and not self._timer.isActive():
            self._timer.start(round(self._pass_seconds * _REST * 1000) if growing else 0)

    def highlightBlock(self, text: str) -> None:
        line = self.currentBlock().blockNumber()
        if line < len(self._lines):
            for column, length, kind in self._lines[line]:
                self.setFormat(column, min(length, len(text) - column), _format(kind, self._colors))

    @Slot()
    def _go_on(self) -> None:
        if self._pass is None:
            self._stale = False
            self._pass_seconds = 0.0
            self._pass = self._one_pass(self.document().toPlainText())
        started = time.perf_counter()
        for _ in self._pass:
            if time.perf_counter() - started >= _SLICE_SECONDS:
                self._pass_seconds += time.perf_counter() - started
                self._timer.start(0)
                return
        self._pass_seconds += time.perf_counter() - started
        self._pass = None
        if self._stale:
            self._timer.start(round(self._pass_seconds * _REST * 1000))

    def _one_pass(self, code: str) -> Iterator[None]:
        """Find the spans of each line, and colour the lines whose spans are new."""
        block = self.document().firstBlock()
        number = 0
        for spans in _spans(code, self._language):
            if spans is None:
                yield
                continue
            if number == len(self._lines):
                self._lines.append([])
            if self._lines[number] != spans:
                self._lines[number] = spans
                self._color(block)
            block = block.next()
            number += 1
            yield

    def _color(self, block: QTextBlock) -> None:
        if block.isValid():
            self.rehighlightBlock(block)


def _spans(code: str, language: str) -> Iterator[list[_Span] | None]:
    """Yield the spans of each line as it ends; None in between."""
    line: list[_Span] = []
    column = 0
    for kind, value in _lexer(language).get_tokens(code):
        for index, piece in enumerate(value.split("\n")):
            if index:
                yield line
                line, column = [], 0
            if piece.strip():
                line.append((column, len(piece), str(kind).removeprefix("Token.")))
            column += len(piece)
        yield None


@cache
def _lexer(language: str) -> "Lexer":
    # 0.1 s the first time, and nobody needs it before the first code.
    from pygments.lexers import (  # noqa: PLC0415
        get_lexer_by_name,  # pyright: ignore[reportUnknownVariableType] - options have no types
    )
    from pygments.util import ClassNotFound  # noqa: PLC0415

    try:
        return get_lexer_by_name(language or "text", stripnl=False, ensurenl=True)
    except ClassNotFound:
        return get_lexer_by_name("text", stripnl=False, ensurenl=True)


def _format(kind: str, colors: Mapping[str, str]) -> QTextCharFormat:
    drawn = QTextCharFormat()
    if color := _color_of(kind, colors):
        drawn.setForeground(QColor(color))
    if kind.startswith("Comment"):
        drawn.setFontItalic(True)
    if kind.startswith("Generic.Heading"):
        drawn.setFontWeight(QFont.Weight.Bold)
    return drawn


def _color_of(kind: str, colors: Mapping[str, str]) -> str:
    """Return the colour of the nearest kind that has one, going up."""
    while kind:
        if kind in colors:
            return colors[kind]
        kind = kind.rpartition(".")[0]
    return ""
