"""One chat as the window shows it: its turns, and what can be done now."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import background
from app.bridge import Generation
from app.chat.answer import Answer
from app.chat.keeper import Keeper
from app.chat.prompt import prompt_of
from app.chat.thinking_choice import ThinkingChoice
from models import abilities
from models.abilities import Ability
from models.chat import GenerateRequest, Image, Overflow
from models.errors import InvalidModelName
from models.events import (
    Event,
    Failed,
    Finished,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
)
from models.model import Model
from models.names import ModelName
from models.records.records import Records
from models.records.values import Outcome, Turn, user_turn
from models.residency import Residency

_SAVE_EVERY_MS = 500  # a killed program loses no more of a reply than this


class State(Enum):
    IDLE = auto()
    OPENING = auto()  # what was said before is on its way from the disk
    SAVING = auto()  # the message is on its way to the disk; it is sent from there
    LOADING = auto()  # the model is on its way into memory
    READING = auto()  # the model reads the prompt
    THINKING = auto()
    WRITING = auto()


class ChatSession(QObject):
    """A view-model: it holds no widget, and a widget holds no state but this."""

    opened = Signal()  # the turns have come
    turn_added = Signal(int)  # its position
    turn_ended = Signal(int)
    turns_dropped = Signal(int)  # this position, and all after it
    reply_grew = Signal(str)  # the new piece, not the whole reply
    model_changed = Signal()
    aside_grew = Signal()  # what is not said: a thought, a call
    state_changed = Signal(object)  # State
    share_changed = Signal()
    failed = Signal(str)  # a sentence for the user; the reply so far is kept
    unsaved = Signal(str)  # a sentence: the chat goes on, the disk does not take it
    began = Signal()  # the first message is kept, and the chat has a title

    def __init__(
        self,
        residency: Residency,
        records: Records,
        chat: str,
        model: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.chat = chat
        self.model = model
        self.sees = True  # the model, as far as is known
        self._residency = residency
        self._keeper = Keeper(records, chat)
        self.thinking = ThinkingChoice(self._keeper, self)
        self._turns: list[Turn] = []
        self._waiting: Turn | None = None  # that was written before the others had come
        self._unreadable = False
        self._state = State.IDLE
        self._share: float | None = None
        self._generation: Generation | None = None
        self._answer = Answer(model)  # that is being written, or was last
        self._save_timer = QTimer(self)
        self._save_timer.setInterval(_SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self._save_reply)

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(self._turns)

    @property
    def state(self) -> State:
        return self._state

    @property
    def share(self) -> float | None:
        """How far the model is with loading or reading, from 0 to 1; None: not known."""
        return self._share

    @property
    def busy(self) -> bool:
        """Whether a message is being answered, or will be once the turns have come."""
        return self._state not in (State.IDLE, State.OPENING) or self._waiting is not None

    def use_model(self, name: str, model: Model | None) -> None:
        """Let another model answer. None: nothing is known of it."""
        self.model = name
        self.sees = model is None or Ability.VISION in abilities.of(model)
        self.thinking.use_model(model)
        self.model_changed.emit()

    def open(self) -> None:
        """Read what was said before; ``opened`` tells when it is there."""
        self._set_state(State.OPENING)
        self._unreadable = False
        self.thinking.read()
        background.deliver(self._keeper.read(), self._on_turns, self, self._on_unreadable)

    def send(self, text: str, images: Sequence[Image] = ()) -> None:
        """Keep a message, then let the model answer it. Ignored while it writes."""
        if self.busy or not (text.strip() or images):
            return
        turn = user_turn(text, images)
        if self._state is not State.OPENING:
            self._say(turn)
            return
        self._waiting = turn
        self.state_changed.emit(self._state)  # it is busy now
        if self._unreadable:
            self.open()

    def retry(self) -> None:
        """Let the model answer the last message anew. The first answer stays in the records."""
        if self.busy or not self._turns:
            return
        if self._turns[-1].role == "assistant":
            self._turns.pop()
            self._keeper.forget_after(len(self._turns))
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
            self._answer.stop()
            self._end_turn()

    # -- The disk -------------------------------------------------------------

    def _on_turns(self, turns: list[Turn]) -> None:
        self._turns = [_ended(turn) for turn in turns]
        self._keeper.know(len(turns))
        self._set_state(State.IDLE)
        self.opened.emit()
        if self._waiting:
            turn, self._waiting = self._waiting, None
            self._say(turn)

    def _on_unreadable(self, error: str) -> None:
        # Still OPENING: what is said now would go on from nowhere. The next try is ``send``'s.
        self._unreadable = True
        self.unsaved.emit(f"This chat could not be read: {error}")

    def _say(self, turn: Turn) -> None:
        self._turns.append(turn)
        self._set_state(State.SAVING)
        self.turn_added.emit(len(self._turns) - 1)
        background.deliver(
            self._keeper.save(self._turns),
            lambda kept: self._on_saved(turn, kept),
            self,
            lambda error: self._on_unsaved(turn, error),
        )

    def _on_saved(self, turn: Turn, kept: Turn) -> None:
        place = self._turns.index(turn)
        self._turns[place] = kept
        self._keeper.know(place + 1)
        self.began.emit()
        self._go_on(kept)

    def _on_unsaved(self, turn: Turn, error: str) -> None:
        self.unsaved.emit(f"This chat could not be kept on the disk: {error}")
        self._go_on(turn)

    def _go_on(self, turn: Turn) -> None:
        if self._state is State.SAVING and self._turns[-1] == turn:
            self._submit()

    @Slot()
    def _save_reply(self) -> None:
        self._keeper.save(self._turns)

    # -- Generating -----------------------------------------------------------

    def _submit(self) -> None:
        request = GenerateRequest(
            model=self.model,
            prompt=prompt_of(self._turns, sees=self.sees),
            thinking=self.thinking.chosen,
            overflow=Overflow.DROP,
        )
        self._answer = Answer(self.model)
        self._turns.append(self._answer.turn)
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
            name.key in each.names and not each.loading for each in self._residency.residents()
        )

    @Slot(object)
    def _on_events(self, events: list[Event]) -> None:
        self._answer.take(events)
        self._turns[-1] = self._answer.turn
        for event in events:
            match event:
                case Progress():
                    self._on_progress(event)
                case Started():
                    self._set_state(State.READING)
                case _:
                    pass
        self._tell_growth(events)
        match events[-1]:
            case Finished():
                self._end_turn()
            case Failed():
                self._end_turn()
                self.failed.emit(self._answer.turn.error)
            case _:
                pass

    def _on_progress(self, progress: Progress) -> None:
        if self._state in (State.THINKING, State.WRITING):
            return
        loading = progress.stage is Stage.LOADING
        self._set_state(State.LOADING if loading else State.READING)
        self._set_share(progress.done / progress.total if progress.total else None)

    def _tell_growth(self, events: Sequence[Event]) -> None:
        if not any(isinstance(each, TextDelta | ReasoningDelta | ToolCallDelta) for each in events):
            return
        self._set_state(State.THINKING if self._answer.thinking else State.WRITING)
        if any(isinstance(each, ReasoningDelta | ToolCallDelta) for each in events):
            self.aside_grew.emit()
        if text := "".join(each.text for each in events if isinstance(each, TextDelta)):
            self.reply_grew.emit(text)

    def _end_turn(self) -> None:
        """Keep what was said, even of a turn that was stopped or failed."""
        self._turns[-1] = self._answer.turn
        self._save_timer.stop()
        self._save_reply()
        if self._generation:
            self._generation.happened.disconnect(self._on_events)
            self._generation.deleteLater()
        self._generation = None
        self._set_state(State.IDLE)
        self.turn_ended.emit(len(self._turns) - 1)

    def _set_state(self, state: State) -> None:
        if state is not self._state:
            self._set_share(None)
            self._state = state
            self.state_changed.emit(state)

    def _set_share(self, share: float | None) -> None:
        if share != self._share:
            self._share = share
            self.share_changed.emit()


def _ended(turn: Turn) -> Turn:
    """A reply that was being written when the program ended is being written no more."""
    return replace(turn, outcome=Outcome.INTERRUPTED) if turn.outcome is Outcome.WRITING else turn
