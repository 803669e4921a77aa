"""One chat as the window shows it: its turns, and what can be done now."""

from concurrent.futures import Future
from dataclasses import replace
from enum import Enum, auto

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.bridge import Generation
from app.conversations import Conversations, Outcome, Turn, title_of
from models.chat import GenerateRequest, Message, Text
from models.errors import InvalidModelName
from models.events import Event, Failed, Finished, FinishReason, Started, TextDelta
from models.names import ModelName
from models.residency import Residency

_SAVE_EVERY_MS = 500  # a killed program loses no more of a reply than this

_OUTCOMES = {
    FinishReason.CANCELLED: Outcome.STOPPED,
    FinishReason.MAX_TOKENS: Outcome.CUT,
}


class State(Enum):
    IDLE = auto()
    SAVING = auto()  # the message is on its way to the disk; it is sent from there
    LOADING = auto()  # the model is on its way into memory
    READING = auto()  # the model reads the prompt
    WRITING = auto()


class ChatSession(QObject):
    """A view-model: it holds no widget, and a widget holds no state but this."""

    turn_added = Signal(int)  # its position
    turn_ended = Signal(int)
    turns_dropped = Signal(int)  # this position, and all after it
    reply_grew = Signal(str)  # the new piece, not the whole reply
    state_changed = Signal(object)  # State
    failed = Signal(str)  # a sentence for the user; the reply so far is kept
    unsaved = Signal(str)  # a sentence: the chat goes on, the disk does not take it
    began = Signal()  # the first message is kept, and the chat has a title
    _saved = Signal(str)  # empty, or what went wrong

    def __init__(
        self,
        residency: Residency,
        conversations: Conversations,
        chat: str,
        model: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.chat = chat
        self.model = model
        self._residency = residency
        self._conversations = conversations
        self._turns = [_ended(turn) for turn in conversations.turns(chat)]
        self._state = State.IDLE
        self._generation: Generation | None = None
        self._save_timer = QTimer(self)
        self._save_timer.setInterval(_SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self._save_reply)
        self._saved.connect(self._on_saved)

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(self._turns)

    @property
    def state(self) -> State:
        return self._state

    @property
    def busy(self) -> bool:
        return self._state is not State.IDLE

    def send(self, text: str) -> None:
        """Keep a message, then let the model answer it. Ignored while it writes."""
        if self.busy or not text.strip():
            return
        first = not self._turns
        self._turns.append(Turn(role="user", text=text))
        self._set_state(State.SAVING)
        self.turn_added.emit(len(self._turns) - 1)
        if first:
            self._conversations.add(self.chat, title_of(text))
        position = len(self._turns) - 1
        self._conversations.put(self.chat, position, self._turns[-1]).add_done_callback(
            self._tell_saved
        )

    def retry(self) -> None:
        """Let the model answer the last message anew."""
        if self.busy or not self._turns:
            return
        if self._turns[-1].role == "assistant":
            self._turns.pop()
            self.turns_dropped.emit(len(self._turns))
        self._submit()

    def stop(self) -> None:
        if self._generation:
            self._generation.cancel()
        elif self._state is State.SAVING:
            self._set_state(State.IDLE)

    def close(self) -> None:
        """Stop, and keep what was said: nothing is shown of it any more."""
        if self._generation:
            self._generation.cancel()
            self._end_turn(replace(self._turns[-1], outcome=Outcome.STOPPED))

    # -- Saving ---------------------------------------------------------------

    def _tell_saved(self, done: "Future[None]") -> None:  # called on the chats' thread
        error = done.exception()
        self._saved.emit(str(error) if error else "")

    @Slot(str)
    def _on_saved(self, error: str) -> None:
        if error:
            self.unsaved.emit(f"This chat could not be kept on the disk: {error}.")
        else:
            self.began.emit()
        if self._state is State.SAVING:
            self._submit()

    @Slot()
    def _save_reply(self) -> None:
        position = len(self._turns) - 1
        self._conversations.put(self.chat, position, self._turns[-1])

    # -- Generating -----------------------------------------------------------

    def _submit(self) -> None:
        request = GenerateRequest(model=self.model, prompt=_messages(self._turns))
        self._turns.append(
            Turn(role="assistant", text="", outcome=Outcome.WRITING, model=self.model)
        )
        self._generation = Generation(self._residency, request, self)
        self._generation.happened.connect(self._on_events)
        self._set_state(State.READING if self._is_loaded() else State.LOADING)
        self.turn_added.emit(len(self._turns) - 1)
        self._save_timer.start()
        self._generation.start()

    def _is_loaded(self) -> bool:
        try:
            name = ModelName.parse(self.model)
        except InvalidModelName:
            return False
        return any(
            each.model.name == name and not each.loading for each in self._residency.residents()
        )

    @Slot(object)
    def _on_events(self, events: list[Event]) -> None:
        if self.sender() is not self._generation:
            return  # of a turn that was closed
        self._grow("".join(event.text for event in events if isinstance(event, TextDelta)))
        match events[-1]:
            case Started():
                self._set_state(State.READING)
            case Finished() as finished:
                self._finish(finished)
            case Failed(error):
                reply = replace(self._turns[-1], outcome=Outcome.FAILED, error=str(error))
                self._end_turn(reply)
                self.failed.emit(str(error))
            case _:
                pass

    def _grow(self, text: str) -> None:
        if text:
            self._turns[-1] = replace(self._turns[-1], text=self._turns[-1].text + text)
            self._set_state(State.WRITING)
            self.reply_grew.emit(text)

    def _finish(self, finished: Finished) -> None:
        reply = replace(
            self._turns[-1],
            outcome=_OUTCOMES.get(finished.reason, Outcome.DONE),
            completion_tokens=finished.usage.completion_tokens,
            decode_seconds=finished.usage.decode_seconds,
        )
        self._end_turn(reply)

    def _end_turn(self, reply: Turn) -> None:
        """Keep what was said, even of a turn that was stopped or failed."""
        self._turns[-1] = reply
        self._save_timer.stop()
        self._save_reply()
        if self._generation:
            self._generation.deleteLater()
        self._generation = None
        self._set_state(State.IDLE)
        self.turn_ended.emit(len(self._turns) - 1)

    def _set_state(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)


def _ended(turn: Turn) -> Turn:
    """A reply that was being written when the program ended is being written no more."""
    return replace(turn, outcome=Outcome.INTERRUPTED) if turn.outcome is Outcome.WRITING else turn


def _messages(turns: list[Turn]) -> tuple[Message, ...]:
    """Return what the model is to read.

    Many chat templates refuse two messages of one side in a row, and that is what an
    unanswered question leaves: such neighbours become one message.
    """
    messages: list[Message] = []
    for turn in turns:
        if not turn.text:
            continue
        if messages and messages[-1].role == turn.role:
            messages[-1] = Message(turn.role, (Text(f"{messages[-1].text}\n\n{turn.text}"),))
        else:
            messages.append(Message(turn.role, (Text(turn.text),)))
    return tuple(messages)
