"""The sidebar: a new chat, the chats there are, and the way to the other pages."""

from datetime import UTC, datetime
from functools import partial

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QButtonGroup,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.chat.chats import Chats
from app.icons import show_beside_words
from app.theme import Theme

_WIDTH = 256
_ID = Qt.ItemDataRole.UserRole
_SECTIONS = ((1, "Today"), (2, "Yesterday"), (7, "Last 7 days"), (30, "Last 30 days"))  # days


class Sidebar(QFrame):
    page_chosen = Signal(str)  # "chat", "models" or "settings"

    def __init__(self, chats: Chats, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("sidebar")
        self.setFixedWidth(_WIDTH)
        self._chats = chats
        self._new = QPushButton("New chat")
        self._new.setToolTip(f"New chat ({_words(QKeySequence.StandardKey.New)})")
        self._new.clicked.connect(self._on_new)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search chats")
        self.search.setAccessibleName("Search chats")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(chats.search)
        self.list = _ChatList(chats, theme)
        self.list.itemActivated.connect(self._on_chosen)
        self.list.itemClicked.connect(self._on_chosen)
        self._pages = {
            "models": _page_button("Models"),
            "settings": _page_button("Settings"),
        }
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        for button in self._pages.values():
            self._group.addButton(button)
        self._group.buttonClicked.connect(self._on_page)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 12, 10, 10)
        column.setSpacing(6)
        column.addWidget(self._new)
        column.addWidget(self.search)
        column.addSpacing(4)
        column.addWidget(self.list, 1)
        for button in self._pages.values():
            column.addWidget(button)
        self.set_theme(theme)

    def show_page(self, page: str) -> None:
        for name, button in self._pages.items():
            button.setChecked(name == page)
        self.list.show_current(page == "chat")

    def set_theme(self, theme: Theme) -> None:
        show_beside_words(self._new, "new-chat", theme.text)
        for name, button in self._pages.items():
            show_beside_words(button, name, theme.text)
        self.list.set_theme(theme)

    @Slot()
    def _on_new(self) -> None:
        self._chats.new()
        self.page_chosen.emit("chat")

    @Slot(QListWidgetItem)
    def _on_chosen(self, item: QListWidgetItem) -> None:
        if chat := item.data(_ID):
            self._chats.open(chat)
            self.page_chosen.emit("chat")

    @Slot(QPushButton)
    def _on_page(self, clicked: QPushButton) -> None:
        for name, button in self._pages.items():
            if button is clicked:
                # A second click goes back to the chat.
                self.page_chosen.emit(name if button.isChecked() else "chat")


class _ChatList(QListWidget):
    """The chats by day. F2 renames one where it stands, Delete takes it off the list."""

    def __init__(self, chats: Chats, theme: Theme) -> None:
        super().__init__()
        self._chats = chats
        self._theme = theme
        self._filling = False
        self._stale = False
        self._marks_current = True
        self.setAccessibleName("Chats")
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QListWidget.EditTrigger.EditKeyPressed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self.itemChanged.connect(self._on_renamed)
        chats.entries_changed.connect(self.refresh)
        chats.current_changed.connect(self.refresh)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        for item in map(self.item, range(self.count())):
            if not item.data(_ID):
                self._color_heading(item)

    def show_current(self, marks: bool) -> None:
        self._marks_current = marks
        self._mark()

    @Slot()
    def refresh(self) -> None:
        self._stale = self.state() is QListWidget.State.EditingState
        if self._stale:
            return  # a title is being typed
        self._filling = True
        at = self.verticalScrollBar().value()
        self.clear()
        section = ""
        for entry in self._chats.entries:
            if (name := _section_of(entry.updated_at)) != section:
                section = name
                self._add_heading(name)
            item = QListWidgetItem(entry.title, self)
            item.setData(_ID, entry.id)
            item.setToolTip(entry.title)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        self.verticalScrollBar().setValue(at)
        self._filling = False
        self._mark()

    def _add_heading(self, name: str) -> None:
        item = QListWidgetItem(name, self)
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        font = self.font()
        font.setPixelSize(12)
        item.setFont(font)
        item.setSizeHint(QSize(0, 32))
        self._color_heading(item)

    def _color_heading(self, item: QListWidgetItem) -> None:
        item.setForeground(QColor(self._theme.muted))

    def _mark(self) -> None:
        self.clearSelection()
        for row in range(self.count()):
            item = self.item(row)
            if self._marks_current and item.data(_ID) == self._chats.current.chat:
                self.setCurrentItem(item)
                return
        self.setCurrentRow(-1)

    @Slot(QPoint)
    def _on_menu(self, at: QPoint) -> None:
        item = self.itemAt(at)
        if item is None or not item.data(_ID):
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Rename", lambda: self.editItem(item))
        menu.addAction("Delete", lambda: self._chats.delete(item.data(_ID)))
        menu.popup(self.viewport().mapToGlobal(at))

    @Slot(QListWidgetItem)
    def _on_renamed(self, item: QListWidgetItem) -> None:
        if not self._filling:
            # Later, for the list is filled anew then, and its editor is still at work.
            rename = partial(self._chats.rename, item.data(_ID), item.text())
            QTimer.singleShot(0, self, rename)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        super().closeEditor(editor, hint)
        if self._stale:
            QTimer.singleShot(0, self, self.refresh)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and item and item.data(_ID):
            self._chats.delete(item.data(_ID))
        else:
            super().keyPressEvent(event)


def _page_button(label: str) -> QPushButton:
    button = QPushButton(label)
    button.setCheckable(True)
    return button


def _section_of(moment: datetime) -> str:
    days = (datetime.now(UTC).astimezone().date() - moment.astimezone().date()).days
    for limit, name in _SECTIONS:
        if days < limit:
            return name
    return "Older"


def _words(key: QKeySequence.StandardKey) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
