"""The chat page: the transcript, or what there is to ask; and the composer under it."""

from collections.abc import Callable

from PySide6.QtCore import Signal, SignalInstance, Slot
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from app.chat.chats import Chats
from app.chat.composer import Composer
from app.chat.empty import EmptyState
from app.chat.pictures import files_in, image_in
from app.chat.rows import COLUMN_WIDTH
from app.chat.session import ChatSession, State
from app.chat.transcript import Transcript
from app.chat.viewer import Viewer
from app.theme import Theme
from models.chat import Image
from models.thinking import Choice

_COMPOSER_WIDTH = COLUMN_WIDTH + 32  # so that what is in it lines up with the replies
_SIDE = 20
_BAR_STEPS = 1000
_BAR_HEIGHT = 4


class ChatPage(QWidget):
    models_wanted = Signal()
    model_wanted = Signal(str)  # its name: it sees what is to be sent
    unsaved = Signal(str)  # a sentence

    def __init__(self, chats: Chats, theme: Theme) -> None:
        super().__init__()
        self._chats = chats
        self._session: ChatSession | None = None
        self._viewer: Viewer | None = None
        self._seeing = ""
        self.transcript = Transcript(theme)
        self.transcript.retry_asked.connect(self._on_retry)
        self.transcript.picture_opened.connect(self._open_picture)
        self.empty = EmptyState(theme)
        self.empty.asked.connect(self._on_sent)
        self.empty.models_wanted.connect(self.models_wanted)
        self.composer = Composer(theme)
        self.composer.sent.connect(self._on_sent)
        self.composer.stopped.connect(self._on_stopped)
        self.composer.bar.opened.connect(self._open_picture)
        self.composer.bar.advised.connect(self._on_advised)
        self.composer.attachments.changed.connect(self._advise)
        self.composer.think.chosen.connect(self._on_thinking_chosen)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.transcript)
        self.progress = QProgressBar()
        self.progress.setRange(0, _BAR_STEPS)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(_BAR_HEIGHT)
        # Its room is kept while it is hidden, so that nothing jumps.
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(policy)
        self.progress.hide()
        self._line = QVBoxLayout()
        self._line.setSpacing(4)
        self._line.setContentsMargins(_SIDE, 0, _SIDE, 18)
        self._line.addWidget(self.progress)
        self._line.addWidget(self.composer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._stack, 1)
        column.addLayout(self._line)
        self.setAcceptDrops(True)
        chats.current_changed.connect(self.show_session)
        self.show_session(chats.current)

    @Slot(object)
    def show_session(self, session: ChatSession) -> None:
        if self._session:
            for signal, slot in self._connections(self._session):
                signal.disconnect(slot)
        self._session = session
        for signal, slot in self._connections(session):
            signal.connect(slot)
        self._show_turns()
        self._on_state_changed()
        self._on_share_changed()
        self._on_thinking_changed()
        self._advise()
        self.composer.setFocus()

    def _connections(
        self, session: ChatSession
    ) -> tuple[tuple[SignalInstance, Callable[..., None] | SignalInstance], ...]:
        return (
            (session.opened, self._show_turns),
            (session.state_changed, self._on_state_changed),
            (session.share_changed, self._on_share_changed),
            (session.turn_added, self._on_turn_added),
            (session.unsaved, self.unsaved),
            (session.thinking.changed, self._on_thinking_changed),
            (session.model_changed, self._advise),
        )

    def set_theme(self, theme: Theme) -> None:
        self.transcript.set_theme(theme)
        self.composer.set_theme(theme)

    @Slot(str)
    def _on_sent(self, text: str) -> None:
        self._chats.current.send(text, self.composer.attachments.release())
        self.composer.setFocus()

    @Slot()
    def _on_stopped(self) -> None:
        self._chats.current.stop()

    @Slot()
    def _on_retry(self) -> None:
        self._chats.current.retry()

    def offer_seeing(self, name: str) -> None:
        """The model to offer where one is asked that does not see; empty: there is none here."""
        self._seeing = name
        self._advise()

    @Slot()
    def _advise(self) -> None:
        """Say of a model that does not see that it does not, before anything is sent."""
        session = self._chats.current
        self.composer.set_blind(not session.sees)
        attached = bool(self.composer.attachments.taken)
        before = any(turn.images for turn in session.turns)
        if session.sees or not (attached or before):
            self.composer.bar.advise("")
            return
        which = "pictures" if attached else "the pictures of this chat"
        model = session.model.removesuffix(":latest")
        offer = (
            f"Use {self._seeing.removesuffix(':latest')}" if self._seeing else "Get one that does"
        )
        self.composer.bar.advise(f"{model} does not see {which}.", offer)

    @Slot()
    def _on_advised(self) -> None:
        if self._seeing:
            self.model_wanted.emit(self._seeing)
            self.composer.setFocus()
        else:
            self.models_wanted.emit()

    @Slot(object)
    def _open_picture(self, image: Image) -> None:
        if self._viewer is None:
            self._viewer = Viewer(self.window())
        self._viewer.open(image)

    @Slot()
    def _show_turns(self) -> None:
        """Show all that was said; nothing yet while it is on its way from the disk."""
        session = self._chats.current
        self.transcript.show_session(session)
        fresh = not session.turns and session.state is not State.OPENING
        self._stack.setCurrentWidget(self.empty if fresh else self.transcript)
        self._advise()

    @Slot()
    def _on_state_changed(self) -> None:
        self.composer.set_busy(self._chats.current.busy)

    @Slot()
    def _on_share_changed(self) -> None:
        """A line that fills while a model is loaded or reads, where it tells how far it is."""
        session = self._chats.current
        share = session.share
        self.progress.setVisible(share is not None)
        if share is not None:
            self.progress.setValue(round(share * _BAR_STEPS))
            does = "Loading the model" if session.state is State.LOADING else "Reading"
            self.progress.setAccessibleName(f"{does}: {share:.0%}")

    @Slot(object)
    def _on_thinking_chosen(self, chosen: Choice) -> None:
        self._chats.current.thinking.choose(chosen)

    @Slot()
    def _on_thinking_changed(self) -> None:
        thinking = self._chats.current.thinking
        self.composer.think.show_choices(thinking.choices, thinking.chosen)

    @Slot()
    def _on_turn_added(self) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self._advise()

    # -- Pictures that are dropped --------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        mime = event.mimeData()
        if files_in(mime, any_kind=True) or image_in(mime):
            event.acceptProposedAction()
            self.composer.show_drop(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.composer.show_drop(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.composer.show_drop(False)
        if files := files_in(event.mimeData(), any_kind=True):
            self.composer.attachments.add_files(files)
        elif image := image_in(event.mimeData()):
            self.composer.attachments.add_image(image)
        event.acceptProposedAction()
        self.composer.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        side = max(_SIDE, (self.width() - _COMPOSER_WIDTH) // 2)
        self._line.setContentsMargins(side, 0, side, 18)
