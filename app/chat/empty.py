"""What a new chat shows before the first message: what this is for, and how to begin."""

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.icons import pixmap
from app.theme import Theme

EXAMPLES = (
    "What is the capital of France?",
    "Tell me a short story about a candle.",
    "Count from 1 to 10.",
)
_WIDTH = 560
_MARK_SIZE = 72


class EmptyState(QWidget):
    asked = Signal(str)  # an example was chosen
    models_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        mark = QLabel()
        mark.setPixmap(pixmap("inglenook", theme.text, _MARK_SIZE, self))
        title = QLabel("What would you like to ask?")
        title.setObjectName("title")
        purpose = QLabel(
            "Inglenook runs language models on this computer. What you write stays here."
        )
        purpose.setObjectName("muted")
        purpose.setWordWrap(True)
        self._advice = QLabel()
        self._advice.setObjectName("small")
        self._advice.setWordWrap(True)
        get_model = QPushButton("Get a model")
        get_model.setProperty("kind", "link")
        get_model.clicked.connect(self.models_wanted)
        center = Qt.AlignmentFlag.AlignHCenter
        inner = QVBoxLayout()
        inner.setSpacing(8)
        for label in (mark, title, purpose):
            label.setAlignment(center)
            inner.addWidget(label)
        inner.addSpacing(20)
        self._examples = [self._example(text) for text in EXAMPLES]
        for example in self._examples:
            inner.addWidget(example)
        inner.addSpacing(12)
        line = QVBoxLayout()
        line.setSpacing(2)
        self._advice.setAlignment(center)
        line.addWidget(self._advice)
        line.addWidget(get_model, 0, center)
        self._advice_line = QWidget()
        self._advice_line.setLayout(line)
        inner.addWidget(self._advice_line)
        column = QWidget()
        column.setLayout(inner)
        column.setMaximumWidth(_WIDTH)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(column, 100)
        row.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        outer.addLayout(row)
        outer.addStretch(3)

    def advise(self, sentence: str) -> None:
        """Say something about the model, with the way to others; empty: nothing to say."""
        self._advice.setText(sentence)
        self._advice_line.setVisible(bool(sentence))

    def set_enabled(self, enabled: bool) -> None:
        for example in self._examples:
            example.setEnabled(enabled)

    def _example(self, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("example")
        button.setCursor(Qt.CursorShape.PointingHandCursor)
        button.clicked.connect(partial(self.asked.emit, text))
        return button
