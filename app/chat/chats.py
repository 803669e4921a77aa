"""The list of chats, and the one that is open: the view-model of the sidebar."""

from PySide6.QtCore import QObject, Signal, Slot

from app.chat.session import ChatSession
from app.conversations import ChatEntry, Conversations, new_chat_id
from models.residency import Residency


class Chats(QObject):
    """Opens chats. One that is still being answered goes on while another is read."""

    current_changed = Signal(object)  # ChatSession
    entries_changed = Signal()
    deleted = Signal(str)  # the title, for the offer to bring it back

    def __init__(
        self,
        residency: Residency,
        conversations: Conversations,
        model: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._residency = residency
        self._conversations = conversations
        self._model = model
        self._search = ""
        self._entries: list[ChatEntry] | None = None  # None: to be read
        self._sessions: dict[str, ChatSession] = {}
        self._last_deleted = ""
        self._current = self._open(new_chat_id())

    @property
    def current(self) -> ChatSession:
        return self._current

    @property
    def entries(self) -> list[ChatEntry]:
        """Return the chats that the search finds, newest first."""
        if self._entries is None:
            self._entries = self._conversations.entries(self._search)
        return self._entries

    @property
    def problem(self) -> str:
        """One sentence on why older chats are missing, or empty."""
        return self._conversations.problem

    def use_model(self, model: str) -> None:
        """Let this model answer from now on."""
        self._model = model
        self._current.model = model

    def new(self) -> None:
        if self._current.turns:
            self.open(new_chat_id())

    def open(self, chat: str) -> None:
        if chat == self._current.chat:
            return
        left = self._current
        self._current = self._sessions.get(chat) or self._open(chat)
        self._current.model = self._model
        self.current_changed.emit(self._current)
        if not left.busy:
            self._forget(left)

    def search(self, words: str) -> None:
        self._search = words
        self._reread()

    def rename(self, chat: str, title: str) -> None:
        if title := " ".join(title.split()):
            self._conversations.rename(chat, title)
        self._reread()

    def delete(self, chat: str) -> None:
        """Take a chat off the list; ``undo_delete`` brings the last one back."""
        title = next((entry.title for entry in self.entries if entry.id == chat), "")
        if session := self._sessions.get(chat):
            session.stop()
        self._conversations.delete(chat)
        self._last_deleted = chat
        self._reread()
        if chat == self._current.chat:
            self.open(new_chat_id())
        self.deleted.emit(title)

    def undo_delete(self) -> None:
        if self._last_deleted:
            self._conversations.restore(self._last_deleted)
            self._reread()
            self.open(self._last_deleted)
            self._last_deleted = ""

    def close(self) -> None:
        """Stop every chat and keep what was said in it."""
        for session in list(self._sessions.values()):  # one in the background goes as it ends
            session.close()

    def _open(self, chat: str) -> ChatSession:
        session = ChatSession(self._residency, self._conversations, chat, self._model, self)
        session.began.connect(self._reread)
        session.turn_ended.connect(self._on_turn_ended)
        self._sessions[chat] = session
        return session

    def _forget(self, session: ChatSession) -> None:
        del self._sessions[session.chat]
        session.deleteLater()

    @Slot()
    def _reread(self) -> None:
        self._entries = None
        self.entries_changed.emit()

    @Slot(int)
    def _on_turn_ended(self, _position: int) -> None:
        session = self.sender()
        if isinstance(session, ChatSession) and session is not self._current:
            self._forget(session)
        self._reread()
