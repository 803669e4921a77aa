"""Whether, or how hard, models are to think in one chat: what can be chosen, and what is."""

from PySide6.QtCore import QObject, Signal

from app import background
from app.chat.keeper import Keeper
from models import thinking
from models.model import Model
from models.thinking import Choice


class ThinkingChoice(QObject):
    """A view-model. What was chosen is kept with the chat, whichever model it was chosen for."""

    changed = Signal()

    def __init__(self, keeper: Keeper, parent: QObject) -> None:
        super().__init__(parent)
        self._keeper = keeper
        self._choices: tuple[Choice, ...] = ()
        self._wanted: Choice | None = None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The least first; empty where there is nothing to choose."""
        return self._choices

    @property
    def chosen(self) -> Choice | None:
        """None: the model is not told."""
        return thinking.nearest(self._wanted, self._choices)

    def choose(self, chosen: Choice) -> None:
        """From the next answer on."""
        self._wanted = chosen
        self._keeper.choose_thinking(chosen)
        self.changed.emit()

    def use_model(self, model: Model | None) -> None:
        """Offer what this model can. None: nothing is known of it."""
        self._choices = thinking.choices(model) if model else ()
        self.changed.emit()

    def read(self) -> None:
        """Take up what was chosen in days past."""
        background.deliver(self._keeper.read_thinking(), self._on_read, self, _ignore)

    def _on_read(self, chosen: Choice | None) -> None:
        if self._wanted is None and chosen is not None:  # nobody has been quicker
            self._wanted = chosen
            self.changed.emit()


def _ignore(_error: str) -> None:
    """The turns cannot be read either then, and that is told."""
