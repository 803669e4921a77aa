"""The list of chats, and the one that is open: the view-model of the sidebar."""

from concurrent.futures import Future
from functools import partial

from PySide6.QtCore import QObject, Signal, Slot

from app import background
from app.chat.session import ChatSession, State
from models.model import Model
from models.records.records import Records
from models.records.values import ChatEntry, new_id
from models.residency import Residency


class Chats(QObject):
    """Opens chats. One that is still being answered goes on while another is read."""

    current_changed = Signal(object)  # ChatSession
    entries_changed = Signal()
    deleted = Signal(str)  # the title, for the offer to bring it back
    troubled = Signal(str)  # a sentence: why older chats are missing

    def __init__(
        self,
        residency: Residency,
        records: Records,
        model: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._residency = residency
        self._records = records
        self._model = model
        self._known: Model | None = None  # what is known of it
        self._search = ""
        self._reading: Future[list[ChatEntry]] | None = None
        self._entries: list[ChatEntry] = []
        self._sessions: dict[str, ChatSession] = {}
        self._last_deleted = ""
        self._current = self._make(new_id())
        background.deliver(records.problem(), self._on_problem, self)
        self._reread()

    @property
    def current(self) -> ChatSession:
        return self._current

    @property
    def entries(self) -> list[ChatEntry]:
        """The chats that the search finds, newest first, as they were read last."""
        return self._entries

    @property
    def searched(self) -> str:
        """The words that a title must have; empty where all chats are listed."""
        return self._search.strip()

    def use_model(self, name: str, model: Model | None = None) -> None:
        """Let this model answer from now on. None: nothing is known of it."""
        self._model, self._known = name, model
        self._current.use_model(name, model)

    def new(self) -> None:
        """Begin a chat, if the one that is open has anything in it."""
        if self._current.turns or self._current.state is not State.IDLE:
            self._show(self._make(new_id()))

    def open(self, chat: str) -> None:
        if chat == self._current.chat:
            return
        session = self._sessions.get(chat)
        if session is None:
            session = self._make(chat)
            session.open()
        self._show(session)

    def search(self, words: str) -> None:
        self._search = words
        self._reread()

    def rename(self, chat: str, title: str) -> None:
        if title := " ".join(title.split()):
            self._records.rename(chat, title)
        self._reread()

    def delete(self, chat: str) -> None:
        """Take a chat off the list; ``undo_delete`` brings the last one back."""
        title = next((entry.title for entry in self.entries if entry.id == chat), "")
        if session := self._sessions.get(chat):
            session.stop()
        self._records.delete(chat)
        self._last_deleted = chat
        self._reread()
        if chat == self._current.chat:
            self._show(self._make(new_id()))
        self.deleted.emit(title)

    def undo_delete(self) -> None:
        if self._last_deleted:
            self._records.restore(self._last_deleted)
            self._reread()
            self.open(self._last_deleted)
            self._last_deleted = ""

    def close(self) -> None:
        """Stop every chat and keep what was said in it."""
        for session in list(self._sessions.values()):  # one in the background goes as it ends
            session.close()

    def _make(self, chat: str) -> ChatSession:
        session = ChatSession(self._residency, self._records, chat, self._model, self)
        session.use_model(self._model, self._known)
        session.began.connect(self._reread)
        session.turn_ended.connect(partial(self._on_turn_ended, session))
        self._sessions[chat] = session
        return session

    def _show(self, session: ChatSession) -> None:
        left, self._current = self._current, session
        session.use_model(self._model, self._known)
        self.current_changed.emit(session)
        if not left.busy:
            self._forget(left)

    def _forget(self, session: ChatSession) -> None:
        del self._sessions[session.chat]
        session.deleteLater()

    @Slot()
    def _reread(self) -> None:
        """Ask for the list anew. What was asked before is not waited for any more."""
        if self._reading:
            self._reading.cancel()
        self._reading = self._records.entries(self._search)
        background.deliver(
            self._reading, partial(self._on_entries, self._reading), self, self._on_unreadable
        )

    def _on_entries(self, asked: Future[list[ChatEntry]], entries: list[ChatEntry]) -> None:
        if asked is self._reading:  # the newest search wins
            self._entries = entries
            self.entries_changed.emit()

    def _on_unreadable(self, error: str) -> None:
        self.troubled.emit(f"The list of your chats could not be read: {error}")

    def _on_problem(self, problem: str) -> None:
        if problem:
            self.troubled.emit(problem)

    def _on_turn_ended(self, session: ChatSession, _position: int) -> None:
        if session is not self._current:
            self._forget(session)
        self._reread()
