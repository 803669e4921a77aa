"""The chat page: the transcript, or what there is to ask; and the composer under it."""

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.chat.chats import Chats
from app.chat.composer import Composer
from app.chat.empty import EmptyState
from app.chat.rows import COLUMN_WIDTH
from app.chat.session import ChatSession, State
from app.chat.transcript import Transcript
from app.theme import Theme

_COMPOSER_WIDTH = COLUMN_WIDTH + 32  # so that its text lines up with the replies
_SIDE = 20


class ChatPage(QWidget):
    models_wanted = Signal()
    unsaved = Signal(str)  # a sentence

    def __init__(self, chats: Chats, theme: Theme) -> None:
        super().__init__()
        self._chats = chats
        self._session: ChatSession | None = None
        self.transcript = Transcript(theme)
        self.transcript.retry_asked.connect(self._on_retry)
        self.empty = EmptyState(theme)
        self.empty.asked.connect(self._on_sent)
        self.empty.models_wanted.connect(self.models_wanted)
        self.composer = Composer(theme)
        self.composer.sent.connect(self._on_sent)
        self.composer.stopped.connect(self._on_stopped)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.transcript)
        self._line = QHBoxLayout()
        self._line.setContentsMargins(_SIDE, 6, _SIDE, 18)
        self._line.addWidget(self.composer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._stack, 1)
        column.addLayout(self._line)
        chats.current_changed.connect(self.show_session)
        self.show_session(chats.current)

    @Slot(object)
    def show_session(self, session: ChatSession) -> None:
        if self._session:
            self._session.state_changed.disconnect(self._on_state_changed)
            self._session.turn_added.disconnect(self._on_turn_added)
            self._session.unsaved.disconnect(self.unsaved)
        self._session = session
        session.state_changed.connect(self._on_state_changed)
        session.turn_added.connect(self._on_turn_added)
        session.unsaved.connect(self.unsaved)
        self.transcript.show_session(session)
        self._stack.setCurrentIndex(1 if session.turns else 0)
        self.composer.set_busy(session.busy)
        self.composer.setFocus()

    def set_theme(self, theme: Theme) -> None:
        self.transcript.set_theme(theme)
        self.composer.set_theme(theme)

    @Slot(str)
    def _on_sent(self, text: str) -> None:
        self._chats.current.send(text)
        self.composer.setFocus()

    @Slot()
    def _on_stopped(self) -> None:
        self._chats.current.stop()

    @Slot()
    def _on_retry(self) -> None:
        self._chats.current.retry()

    @Slot(object)
    def _on_state_changed(self, state: State) -> None:
        self.composer.set_busy(state is not State.IDLE)

    @Slot()
    def _on_turn_added(self) -> None:
        self._stack.setCurrentIndex(1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        side = max(_SIDE, (self.width() - _COMPOSER_WIDTH) // 2)
        self._line.setContentsMargins(side, 6, side, 18)
