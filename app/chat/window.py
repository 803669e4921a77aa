"""The window: sidebar, header, and the pages between which they lead."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QSize, Signal, Slot
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.api_switch import ApiState, ApiSwitch
from app.banner import Banners
from app.chat.chats import Chats
from app.chat.header import Header
from app.chat.page import ChatPage
from app.chat.sidebar import Sidebar
from app.manager.downloads import Downloads
from app.manager.library import Library
from app.manager.window import ModelsPage
from app.platform import desktop
from app.preferences import PreferencesPage
from app.settings import Settings, SettingsFile
from app.theme import Appearance, Theme
from models.names import ModelName

_FIRST_SIZE = QSize(1120, 780)
_LEAST_SIZE = QSize(520, 420)
_NARROW = 760  # pixels; a narrower window begins without the sidebar
_UNDO_SECONDS = 10


class MainWindow(QMainWindow):
    closed = Signal()
    quit_wanted = Signal()

    def __init__(
        self,
        *,
        home: Path,
        settings: SettingsFile,
        appearance: Appearance,
        chats: Chats,
        library: Library,
        downloads: Downloads,
        switch: ApiSwitch,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._appearance = appearance
        self._chats = chats
        self._library = library
        self._downloads = downloads
        self._switch = switch
        self._geometry = QSettings(str(home / "window.ini"), QSettings.Format.IniFormat)
        self._pages: dict[str, QWidget] = {}
        self.setWindowTitle("Inglenook")
        self.setMinimumSize(_LEAST_SIZE)
        theme = appearance.theme
        self.sidebar = Sidebar(chats, theme)
        self.header = Header(library, switch, theme)
        self.banners = Banners(theme)
        self.chat = ChatPage(chats, theme)
        self._stack = QStackedWidget()
        self._add_page("chat", self.chat)
        self._lay_out()
        self._connect()
        self._add_actions()
        self._choose_first_model()
        self.show_page("chat")
        self._restore_geometry()

    # -- Pages ----------------------------------------------------------------

    @property
    def page(self) -> str:
        """Return which is shown: "chat", "models" or "settings"."""
        current = self._stack.currentWidget()
        return next(name for name, page in self._pages.items() if page is current)

    @Slot(str)
    def show_page(self, name: str) -> None:
        if name not in self._pages:
            self._add_page(name, self._make_page(name))
        self._stack.setCurrentWidget(self._pages[name])
        self.sidebar.show_page(name)
        if name == "chat":
            self.chat.composer.setFocus()

    def _make_page(self, name: str) -> QWidget:
        """Pages that few need at first are not made at the start."""
        if name == "models":
            page = ModelsPage(self._library, self._downloads, self._appearance.theme)
            page.chat_wanted.connect(self._on_chat_wanted)
            return page
        return PreferencesPage(self._settings)

    def _add_page(self, name: str, page: QWidget) -> None:
        self._pages[name] = page
        self._stack.addWidget(page)

    # -- Models ---------------------------------------------------------------

    def _choose_first_model(self) -> None:
        """Take the model that was used last, or the one that ships with the program."""
        self.header.picker.choose(self._settings.value.model or "pocket:latest")
        self._on_model_chosen(self.header.picker.choice)

    @Slot(str)
    def _on_model_chosen(self, name: str) -> None:
        model = next((each for each in self._library.chat_models if str(each.name) == name), None)
        self._chats.use_model(name, model)
        seeing = self._library.seeing
        self.chat.offer_seeing(str(seeing.name) if seeing else "")
        self.chat.composer.set_model(name.removesuffix(":latest"))
        missing = model is None and self._library.known
        self.chat.empty.set_enabled(not missing)
        if missing:
            self.chat.empty.advise("There is no model on this computer yet.")
        elif model and model.builtin:
            self.chat.empty.advise(
                f"{model.name.model} is a tiny model, here to try the set-up with."
            )
        else:
            self.chat.empty.advise("")

    @Slot()
    def _on_library_changed(self) -> None:
        self._on_model_chosen(self.header.picker.choice)

    @Slot(str)
    def _on_model_picked(self, name: str) -> None:
        if name:
            self._settings.change(model=name)
        self._on_model_chosen(name)

    @Slot()
    def _on_picker_closed(self) -> None:
        """Who has chosen a model writes next; in the picker it would choose another one."""
        if self.page == "chat":
            self.chat.composer.setFocus()

    @Slot(str)
    def _on_chat_wanted(self, name: str) -> None:
        self._use(str(ModelName.parse(name)))
        self.show_page("chat")

    @Slot(str)
    def _use(self, name: str) -> None:
        self.header.picker.choose(name)
        self._on_model_picked(self.header.picker.choice)

    # -- What there is to tell ------------------------------------------------

    @Slot(str)
    def _on_troubled(self, sentence: str) -> None:
        self.banners.say("chats", sentence, kind="error")

    @Slot()
    def _on_switch_changed(self) -> None:
        if self._switch.state is not ApiState.FAILED:
            self.banners.clear("api")
            return
        actions: list[tuple[str, Callable[[], object]]] = [("Try again", self._switch.start)]
        if offer := self._switch.offer:
            actions.insert(0, (f"Use {offer} instead", self._switch.use_offer))
        self.banners.say("api", self._switch.problem, *actions, kind="error")

    @Slot(str)
    def _on_unsaved(self, sentence: str) -> None:
        self.banners.say("unsaved", sentence, kind="error")

    @Slot(str)
    def _on_deleted(self, title: str) -> None:
        undo = ("Undo", self._chats.undo_delete)
        said = f"“{title}” has been deleted."
        self.banners.say("deleted", said, undo, for_seconds=_UNDO_SECONDS)

    def _on_settings_changed(self, _was: Settings, now: Settings) -> None:
        self._appearance.choose(now.theme)

    @Slot(object)
    def _on_theme_changed(self, theme: Theme) -> None:
        for part in (self.sidebar, self.header, self.banners, self.chat):
            part.set_theme(theme)
        if isinstance(models := self._pages.get("models"), ModelsPage):
            models.set_theme(theme)

    # -- Building -------------------------------------------------------------

    def _lay_out(self) -> None:
        page = QWidget()
        page.setObjectName("page")
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.header)
        right.addWidget(self.banners)
        right.addWidget(self._stack, 1)
        line = QHBoxLayout(page)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(0)
        line.addWidget(self.sidebar)
        line.addLayout(right, 1)
        self.setCentralWidget(page)

    def _connect(self) -> None:
        self.sidebar.page_chosen.connect(self.show_page)
        self.header.model_chosen.connect(self._on_model_picked)
        self.header.picker.closed.connect(self._on_picker_closed)
        self.header.sidebar_wanted.connect(self._toggle_sidebar)
        self.chat.models_wanted.connect(self._show_models)
        self.chat.model_wanted.connect(self._use)
        self.chat.unsaved.connect(self._on_unsaved)
        self._chats.deleted.connect(self._on_deleted)
        self._chats.troubled.connect(self._on_troubled)
        self._settings.watch(self._on_settings_changed)
        self._library.changed.connect(self._on_library_changed)
        self._switch.changed.connect(self._on_switch_changed)
        self._appearance.changed.connect(self._on_theme_changed)
        self._downloads.arrived.connect(self._library.refresh)

    def _add_actions(self) -> None:
        """The keys; on a Mac the menus too, for there a window has no others."""
        key = QKeySequence.StandardKey
        actions = [
            self._action("New Chat", QKeySequence(key.New), self._new_chat),
            self._action("Models", QKeySequence("Ctrl+Shift+M"), self._show_models),
            self._action("Settings…", QKeySequence("Ctrl+,"), self._show_settings),
            self._action("Search Chats", QKeySequence(key.Find), self._search_chats),
            self._action("Show or Hide Sidebar", QKeySequence("Ctrl+B"), self._toggle_sidebar),
            self._action("Quit", QKeySequence(key.Quit), self.quit_wanted.emit),
        ]
        actions[2].setMenuRole(QAction.MenuRole.PreferencesRole)
        actions[-1].setMenuRole(QAction.MenuRole.QuitRole)
        self.addActions(actions)
        if desktop.has_menu_bar():
            self.menuBar().addMenu("File").addActions(actions)

    def _action(self, words: str, keys: QKeySequence, act: Callable[[], None]) -> QAction:
        action = QAction(words, self)
        action.setShortcut(keys)
        action.triggered.connect(act)
        return action

    @Slot()
    def _new_chat(self) -> None:
        self._chats.new()
        self.show_page("chat")

    @Slot()
    def _show_models(self) -> None:
        self.show_page("models")

    @Slot()
    def _show_settings(self) -> None:
        self.show_page("settings")

    @Slot()
    def _search_chats(self) -> None:
        self.sidebar.show()
        self.sidebar.search.setFocus()

    @Slot()
    def _toggle_sidebar(self) -> None:
        self.sidebar.setVisible(self.sidebar.isHidden())

    # -- Size and end ---------------------------------------------------------

    def _restore_geometry(self) -> None:
        saved = self._geometry.value("geometry")
        if not (isinstance(saved, QByteArray) and self.restoreGeometry(saved)):
            self.resize(_FIRST_SIZE)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._geometry.setValue("geometry", self.saveGeometry())
        event.accept()
        self.closed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A window that becomes narrow gives the sidebar's room to the chat."""
        super().resizeEvent(event)
        was, now = event.oldSize().width(), event.size().width()
        if was >= _NARROW > now or (was < 0 and now < _NARROW):
            self.sidebar.hide()
        elif was < _NARROW <= now:
            self.sidebar.show()
