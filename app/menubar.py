"""The icon in the menu bar, or the tray: the API's switch, and the way back to the window."""

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from app.api_switch import ApiSwitch
from app.icons import application_icon, tray_icon
from app.platform import desktop


class MenuBarIcon(QObject):
    window_wanted = Signal()
    quit_wanted = Signal()

    def __init__(self, switch: ApiSwitch, parent: QObject) -> None:
        super().__init__(parent)
        self._switch = switch
        self._menu = QMenu()
        self._api = self._menu.addAction("Local API")
        self._api.setCheckable(True)
        self._api.triggered.connect(switch.toggle)
        self._menu.addSeparator()
        self._menu.addAction("Open Inglenook").triggered.connect(self.window_wanted)
        self._menu.addAction("Quit").triggered.connect(self.quit_wanted)
        icon = tray_icon() if desktop.has_menu_bar() else application_icon()
        self._icon = QSystemTrayIcon(icon, self)
        self._icon.setContextMenu(self._menu)
        self._icon.setToolTip("Inglenook")
        self._icon.activated.connect(self._on_activated)
        switch.changed.connect(self._refresh)
        self._refresh()
        self._icon.show()

    @staticmethod
    def available() -> bool:
        """Whether there is a place for it. Qt shows one into nowhere without a word."""
        return QSystemTrayIcon.isSystemTrayAvailable()

    @property
    def menu(self) -> QMenu:
        return self._menu

    def close(self) -> None:
        self._icon.hide()
        self._menu.deleteLater()

    @Slot()
    def _refresh(self) -> None:
        address = self._switch.address
        self._api.setText(f"Local API on {address}" if address else "Local API")
        self._api.setChecked(self._switch.on)

    @Slot(QSystemTrayIcon.ActivationReason)
    def _on_activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        # On macOS every click opens the menu.
        if reason is QSystemTrayIcon.ActivationReason.Trigger and not desktop.has_menu_bar():
            self.window_wanted.emit()
