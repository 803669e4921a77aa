"""What stands around a reply: what is happening, what went wrong, and how it ended."""

from collections.abc import Callable

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from app import words
from app.chat.blocks import CopyButton
from app.icons import IconButton
from app.theme import Theme
from models.records.values import Outcome, Turn

_DOTS_MS = 400
_LEAST_MEASURED_SECONDS = 0.1  # a shorter reply says nothing of a model's speed


class Status(QLabel):
    """What is happening now, with dots that move while it does."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("muted")
        self._words = self._share = ""
        self._dots = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_DOTS_MS)
        self._timer.timeout.connect(self._tick)
        self.hide()

    def say(self, what: str, share: float | None = None) -> None:
        """Say it, and how far that is; ``share`` is from 0 to 1."""
        if what != self._words:
            self._words = what
            self._dots = 1
            self.setVisible(bool(what))
            self.setAccessibleName(what)
            if what:
                self._timer.start()
            else:
                self._timer.stop()
        self._share = "" if share is None else f"{share:.0%} "
        self._show()

    def fit(self, width: int) -> int:
        return self.fontMetrics().height() + 2

    @Slot()
    def _tick(self) -> None:
        self._dots = self._dots % 3 + 1
        self._show()

    def _show(self) -> None:
        self.setText(f"{self._words} {self._share}{'.' * self._dots}")


class Note(QLabel):
    """A quiet line above a reply."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("small")
        self.setWordWrap(True)
        self.hide()

    def say(self, sentence: str) -> None:
        self.setText(sentence)
        self.setVisible(bool(sentence))

    def fit(self, width: int) -> int:
        return self.heightForWidth(width)


class Failure(QFrame):
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


class Footer(QWidget):
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


def stats_of(turn: Turn) -> str:
    facts = [turn.model.removesuffix(":latest")]
    if turn.completion_tokens:
        facts.append(f"{turn.completion_tokens:,} token{'s' * (turn.completion_tokens != 1)}")
    if turn.decode_seconds > _LEAST_MEASURED_SECONDS:
        facts.append(words.speed(turn.completion_tokens / turn.decode_seconds))
    if ending := _ENDINGS.get(turn.outcome):
        facts.append(ending)
    return "  ·  ".join(facts)
