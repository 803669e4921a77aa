"""The sidebar: a new chat, the chats there are, and the way to the other pages."""

from datetime import UTC, datetime
from functools import partial

from PySide6.QtCore import (
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemDelegate,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
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
        # Not a group: Qt takes all but the last one clicked out of the Tab key's way.
        for name, button in self._pages.items():
            button.clicked.connect(partial(self._on_page, name))
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

    def _on_page(self, name: str) -> None:
        """A second click goes back to the chat."""
        self.page_chosen.emit(name if self._pages[name].isChecked() else "chat")


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
        self.setItemDelegate(_TitleDelegate(self))
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
        place = self.currentItem() if self.hasFocus() else None
        kept, row = place.data(_ID) if place else None, self.currentRow()
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
        if self._chats.searched and not self._chats.entries:
            self._add_heading("No chat has that in its title")
        self.verticalScrollBar().setValue(at)
        self._filling = False
        self._mark()
        if kept:
            self._go_back(kept, row)

    def _go_back(self, chat: str, row: int) -> None:
        """Keep the keyboard's place: at the same chat, or at the next where that has gone."""
        ids = [self.item(each).data(_ID) for each in range(self.count())]
        below = [each for each, known in enumerate(ids) if known and each >= row]
        above = [each for each, known in enumerate(ids) if known and each < row]
        if chat in ids:
            self.setCurrentRow(ids.index(chat))
        elif below or above:
            self.setCurrentRow((below or above[::-1])[0])

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

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The keyboard has gone elsewhere, and the chat that is shown is marked again."""
        super().focusOutEvent(event)
        passing = (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)
        if self.state() is not QListWidget.State.EditingState and event.reason() not in passing:
            self._mark()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and item and item.data(_ID):
            self._chats.delete(item.data(_ID))
        else:
            super().keyPressEvent(event)


class _TitleDelegate(QStyledItemDelegate):
    def updateEditorGeometry(
        self,
        editor: QWidget,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Give the editor the whole row: in the text's own room its frame cuts the letters."""
        # PySide's stubs know the members of QStyleOption by their types only.
        row: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        editor.setGeometry(row)


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
