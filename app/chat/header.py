"""Along the top: which model answers, and whether other programs can ask it too."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
)

from app.api_switch import ApiState, ApiSwitch
from app.icons import DOT_SIZE, IconButton, dot
from app.manager.library import Library, hint_of, short_name
from app.theme import Theme

_NAME = Qt.ItemDataRole.UserRole
_HINT = Qt.ItemDataRole.UserRole + 1
_NARROW = 620  # pixels; a narrower header says less
_HEIGHT = 52
_POPUP_WIDTH = 340
_HINT_GAP = 60  # pixels: what stands between and around a name and its hint
_WIDEST = 360
_FIELD_SIDE = 4

_API_WORDS = {
    ApiState.OFF: "Local API off",
    ApiState.STARTING: "Local API starting",
    ApiState.ON: "Local API on",
    ApiState.STOPPING: "Local API stopping",
    ApiState.FAILED: "Local API off",
}


class Header(QFrame):
    model_chosen = Signal(str)
    sidebar_wanted = Signal()

    def __init__(self, library: Library, switch: ApiSwitch, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("header")
        self.setFixedHeight(_HEIGHT)
        self._sidebar = IconButton("sidebar", "Show or hide the sidebar", theme, size=20)
        self._sidebar.clicked.connect(self.sidebar_wanted)
        self.picker = ModelPicker(library)
        self.picker.chosen.connect(self.model_chosen)
        self.pill = ApiPill(switch, theme)
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 0, 14, 0)
        line.setSpacing(6)
        line.addWidget(self._sidebar)
        line.addWidget(self.picker)
        line.addStretch()
        line.addWidget(self.pill)

    def set_theme(self, theme: Theme) -> None:
        self._sidebar.set_theme(theme)
        self.pill.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.pill.set_brief(self.width() < _NARROW)


class ModelPicker(QComboBox):
    """The models that can chat. It shows what the library has, and keeps its choice."""

    chosen = Signal(str)
    closed = Signal()  # its list, after a choice or without one

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._choice = ""
        self._shown: object = None  # what it was made of
        self.setAccessibleName("Model")
        self.setToolTip("The model that answers")
        self.setItemDelegate(_ModelDelegate(self))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.setMaxVisibleItems(14)
        self.setMaximumWidth(_WIDEST)
        self.activated.connect(self._on_activated)
        library.changed.connect(self.refresh)
        self.refresh()

    @property
    def choice(self) -> str:
        """Return the full name of the model; empty where there is none."""
        return self._choice

    def choose(self, name: str) -> None:
        """Choose a model; the first there is where this one is not."""
        self._choice = name
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        shown = (self._library.known, tuple(self._library.chat_models), self._choice)
        if shown == self._shown:
            return  # a list that is open would close: what a model does at the moment is not in it
        self._shown = shown
        self.clear()
        if not self._library.known:  # the disk is being looked at: this is what was wanted
            self.addItem(self._choice.removesuffix(":latest"))
            self.setEnabled(False)
            return
        for model in self._library.chat_models:
            self.addItem(short_name(model.name))
            row = self.count() - 1
            self.setItemData(row, str(model.name), _NAME)
            self.setItemData(row, hint_of(model), _HINT)
        self.setEnabled(self.count() > 0)
        if not self.count():
            self.addItem("No model yet")
            self._choose("")
            return
        self.view().setMinimumWidth(max(_POPUP_WIDTH, *map(self._width_of, range(self.count()))))
        at = self.findData(self._choice, _NAME)
        self.setCurrentIndex(max(0, at))
        self._choose(self.currentData(_NAME))

    def hidePopup(self) -> None:
        super().hidePopup()
        self.closed.emit()

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:
        """Leave out the middle of a name that has no room."""
        super().initStyleOption(option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        control = QStyle.ComplexControl.CC_ComboBox
        room = self.style().subControlRect(control, option, field, self).width() - _FIELD_SIDE
        mode = Qt.TextElideMode.ElideMiddle
        words = self.fontMetrics().elidedText(self.currentText(), mode, room)
        option.currentText = words  # pyright: ignore[reportAttributeAccessIssue]

    def _width_of(self, row: int) -> int:
        """Return how wide the list must be for a row: its hint does not cover its name."""
        words = f"{self.itemText(row)}{self.itemData(row, _HINT)}"
        return self.view().fontMetrics().horizontalAdvance(words) + _HINT_GAP

    @Slot(int)
    def _on_activated(self, row: int) -> None:
        self._choose(self.itemData(row, _NAME))

    def _choose(self, name: str) -> None:
        if name != self._choice:
            self._choice = name
            self.chosen.emit(name)


class _ModelDelegate(QStyledItemDelegate):
    """A model's name, and quietly at the right how large it is and what runs it."""

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        super().paint(painter, option, index)
        # PySide's stubs know the members of QStyleOption by their types only.
        area: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        palette: QPalette = option.palette  # pyright: ignore[reportAttributeAccessIssue]
        painter.save()
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(area.adjusted(0, 0, -10, 0), right, index.data(_HINT) or "")
        painter.restore()


class ApiPill(QPushButton):
    """A light, and the address. A click switches."""

    def __init__(self, switch: ApiSwitch, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("pill")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._switch = switch
        self._theme = theme
        self._brief = False
        self.clicked.connect(switch.toggle)
        switch.changed.connect(self._refresh)
        self._refresh()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._refresh()

    def set_brief(self, brief: bool) -> None:
        if brief != self._brief:
            self._brief = brief
            self._refresh()

    @Slot()
    def _refresh(self) -> None:
        state, address = self._switch.state, self._switch.address
        words = _API_WORDS[state]
        self.setText("API" if self._brief else f"{words}   {address}".rstrip())
        self.setIcon(dot(self._color(state)))
        self.setIconSize(DOT_SIZE)
        does = "Click to switch it off." if self._switch.on else "Click to switch it on."
        where = f" at http://{address}" if address else ""
        self.setToolTip(
            f"{words}{where}. {self._switch.problem or 'Other programs use it.'} {does}"
        )
        self.setAccessibleName(f"{words}{where}. {does}")
        self.setEnabled(state not in (ApiState.STARTING, ApiState.STOPPING))
        if self.property("state") != state.name.lower():
            self.setProperty("state", state.name.lower())
            self.style().polish(self)

    def _color(self, state: ApiState) -> str:
        match state:
            case ApiState.ON:
                return self._theme.good
            case ApiState.FAILED:
                return self._theme.danger
            case _:
                return self._theme.muted
