"""The widgets of one block each: rich text, code with its Copy button, a rule."""

import math
from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl, Slot
from PySide6.QtGui import (
    QDesktopServices,
    QGuiApplication,
    QTextBlockFormat,
    QTextCursor,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QTextBrowser,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.chat.highlight import Highlighter
from app.chat.markdown import Block
from app.icons import IconButton
from app.theme import Theme, code_font, rich_text_style

_SAFE_SCHEMES = ("http", "https", "mailto")
_COPIED_MS = 1500
LIST_INDENT = 22  # pixels
QUOTE_INDENT = 15
_CODE_MARGIN = 12
_CODE_MARGIN_TOP = 4
_CODE_HEAD = 33
_LINE_HEIGHT, _CODE_LINE_HEIGHT = 23, 19  # pixels
_RULE_HEIGHT = 17  # a line of one pixel, and air
_LONGEST_WORD = 1000  # letters


def open_link(url: QUrl) -> None:
    """Open what a model has linked to, where that can do no harm by itself."""
    if url.scheme().lower() in _SAFE_SCHEMES:
        QDesktopServices.openUrl(url)


def copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)


def wrap_mode_of(text: str) -> QTextOption.WrapMode:
    """Return how its lines break: between words, where it has any.

    Qt looks for words in vain for minutes where a million letters have no space.
    """
    if any(len(word) > _LONGEST_WORD for word in text.split()):
        return QTextOption.WrapMode.WrapAnywhere
    return QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere


class CopyButton(IconButton):
    """Copies, and says for a moment that it has."""

    def __init__(self, what: str, theme: Theme, *, size: int = 16) -> None:
        super().__init__("copy", f"Copy {what}", theme, size=size)
        self._what = what
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._forget)

    def copy(self, text: str) -> None:
        copy(text)
        self.show_icon("check")
        self.say("Copied")
        self._timer.start(_COPIED_MS)

    @Slot()
    def _forget(self) -> None:
        self.show_icon("copy")
        self.say(f"Copy {self._what}")


class TextBlock(QTextBrowser):
    """Paragraphs, lists, tables: rich text as high as its content, that fetches nothing."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._plain = ""  # that ``show_more`` has shown
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setOpenLinks(False)
        self.anchorClicked.connect(open_link)
        self.viewport().setAutoFillBackground(False)
        document = self.document()
        document.setDocumentMargin(0)
        document.setIndentWidth(LIST_INDENT)
        document.setDefaultStyleSheet(rich_text_style(theme))

    def show_block(self, block: Block, *, growing: bool) -> None:
        self.setHtml(block.content)
        # So that the keyboard reaches a link, and need not pass every paragraph.
        links = "<a href" in block.content
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if links else Qt.FocusPolicy.ClickFocus)

    def show_plain(self, text: str) -> None:
        option = QTextOption()
        option.setWrapMode(wrap_mode_of(text))
        self.document().setDefaultTextOption(option)
        self.setPlainText(text)
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.mergeBlockFormat(_line_height(_LINE_HEIGHT))

    def show_more(self, text: str) -> None:
        """Show plain text; of one that goes on from what is shown only the rest is laid out."""
        if self._plain and text.startswith(self._plain):
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(text[len(self._plain) :])
        elif text != self._plain:
            self.show_plain(text)
        self._plain = text

    def natural_width(self, most: int) -> int:
        """Return the width that the text takes up where it may have this much."""
        self.document().setTextWidth(most)
        return min(most, math.ceil(self.document().idealWidth()) + 1)

    def fit(self, width: int) -> int:
        if self.document().textWidth() != width:  # else Qt would lay all of it out again
            self.document().setTextWidth(width)
        return math.ceil(self.document().size().height())

    def loadResource(self, kind: int, name: QUrl | str) -> Any:  # noqa: ANN401 - Qt's
        """Load nothing: neither from the network nor from this disk."""
        return None

    def wheelEvent(self, e: QWheelEvent) -> None:
        e.ignore()  # the transcript scrolls


class CodeBlock(QFrame):
    """Code: its language, a Copy button, coloured lines that scroll sideways."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("code")
        self._theme = theme
        self._code = ""
        self._language = QLabel()
        self._language.setObjectName("small")
        self._copy = CopyButton("code", theme)
        self._copy.clicked.connect(self._copy_code)
        self._editor = _CodeView()
        self._highlighter: Highlighter | None = None
        head = QWidget()
        head.setFixedHeight(_CODE_HEAD)
        line = QHBoxLayout(head)
        line.setContentsMargins(_CODE_MARGIN, 5, 6, 0)
        line.addWidget(self._language)
        line.addStretch()
        line.addWidget(self._copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)  # the style sheet's border adds its own
        column.setSpacing(0)
        column.addWidget(head)
        column.addWidget(self._editor)

    def show_block(self, block: Block, *, growing: bool) -> None:
        self._language.setText(block.language or "text")
        if self._highlighter is None:
            document = self._editor.document()
            self._highlighter = Highlighter(document, block.language, self._theme)
        self._editor.show_code(block.content, self._code)
        self._code = block.content
        self._highlighter.refresh(growing=growing)

    def fit(self, width: int) -> int:
        return _CODE_HEAD + self._editor.fit(width - 2) + 2

    @Slot()
    def _copy_code(self) -> None:
        self._copy.copy(self._code)


class _CodeView(QTextEdit):
    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFont(code_font())
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Code")
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(_CODE_MARGIN)

    def show_code(self, code: str, before: str) -> None:
        if before and code.startswith(before):
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(before) :])
        else:
            self.setPlainText(code)
            cursor = QTextCursor(self.document())
            cursor.select(QTextCursor.SelectionType.Document)
            cursor.mergeBlockFormat(_line_height(_CODE_LINE_HEIGHT))  # later lines take it over
            frame = self.document().rootFrame()
            margins = frame.frameFormat()
            margins.setTopMargin(_CODE_MARGIN_TOP)
            frame.setFrameFormat(margins)

    def fit(self, width: int) -> int:
        size = self.document().size()
        bar = self.horizontalScrollBar().sizeHint().height() if size.width() > width else 0
        return math.ceil(size.height()) + bar

    def wheelEvent(self, e: QWheelEvent) -> None:
        delta = e.angleDelta()
        if abs(delta.x()) > abs(delta.y()):
            super().wheelEvent(e)
        else:
            e.ignore()  # the transcript scrolls


def _line_height(pixels: int) -> QTextBlockFormat:
    drawn = QTextBlockFormat()
    drawn.setLineHeight(pixels, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
    return drawn


class RuleBlock(QWidget):
    """A line across."""

    def __init__(self) -> None:
        super().__init__()
        line = QFrame()
        line.setObjectName("rule")
        line.setFixedHeight(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(line)

    def show_block(self, block: Block, *, growing: bool) -> None:
        pass

    def fit(self, width: int) -> int:
        return _RULE_HEIGHT


def widget_for(block: Block, theme: Theme) -> TextBlock | CodeBlock | RuleBlock:
    match block.kind:
        case "text":
            return TextBlock(theme)
        case "code":
            return CodeBlock(theme)
        case "rule":
            return RuleBlock()
