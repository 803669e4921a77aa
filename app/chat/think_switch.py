"""The switch beside a message: whether the model is to think first, or how hard."""

from PySide6.QtCore import QPoint, Qt, Signal, Slot
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton

from models.thinking import Choice

_WORDS: dict[Choice, str] = {
    False: "Off",
    True: "On",
    "low": "Low",
    "medium": "Medium",
    "high": "High",
    "max": "Most",
}


class ThinkSwitch(QPushButton):
    """A click switches; where there are more than two choices it opens a menu of them."""

    chosen = Signal(object)  # Choice

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("kind", "chip")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setCheckable(True)
        self._choices: tuple[Choice, ...] = ()
        self._choice: Choice | None = None
        self._menu = QMenu(self)
        self._group = QActionGroup(self)
        self._group.triggered.connect(self._on_triggered)
        self.clicked.connect(self._on_clicked)
        self.hide()

    def show_choices(self, choices: tuple[Choice, ...], choice: Choice | None) -> None:
        """Show what is chosen; nothing where there is nothing to choose."""
        if choices != self._choices:
            self._choices = choices
            self._fill()
        self._choice = choice
        self._refresh()

    def _fill(self) -> None:
        for action in self._group.actions():
            self._group.removeAction(action)
        self._menu.clear()
        for each in self._choices:
            action = QAction(_WORDS[each], self._menu)
            action.setCheckable(True)
            action.setData(each)
            self._group.addAction(action)
            self._menu.addAction(action)

    def _refresh(self) -> None:
        choice = self._choice
        self.setVisible(choice is not None)
        if choice is None:
            return
        self.setChecked(choice is not False)
        told = _WORDS[choice].lower()
        self.setText("Think" if isinstance(choice, bool) else f"Think: {told}")
        self.setAccessibleName(f"Think before answering: {told}")
        self.setToolTip(
            "The model thinks before it answers" if choice else "The model answers at once"
        )
        for action in self._group.actions():
            action.setChecked(action.data() == choice)

    @Slot()
    def _on_clicked(self) -> None:
        if set(self._choices) == {True, False}:
            self.chosen.emit(not self._choice)
            return
        self._refresh()  # the click has switched it
        above = QPoint(0, -self._menu.sizeHint().height())
        self._menu.popup(self.mapToGlobal(above))

    @Slot(QAction)
    def _on_triggered(self, action: QAction) -> None:
        self.chosen.emit(action.data())
