"""The settings page: the few things that are worth choosing."""

import math

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.api_switch import ApiSwitch
from app.settings import LOG_FILE, SettingsFile
from app.theme import Appearance

_WIDTH = 760
_FIELD_WIDTH = 240
_PORTS = range(1, 1 << 16)
_THEMES = (("As the system", "system"), ("Light", "light"), ("Dark", "dark"))
_MINUTE = 60.0
_KEEP_ALIVE = (
    ("1 minute", _MINUTE),
    ("5 minutes", 5 * _MINUTE),
    ("30 minutes", 30 * _MINUTE),
    ("2 hours", 120 * _MINUTE),
    ("Until it is unloaded", math.inf),
)
_CONTEXTS = (
    ("By model and free memory", None),
    ("4,096 tokens", 4096),
    ("8,192 tokens", 8192),
    ("16,384 tokens", 16384),
    ("32,768 tokens", 32768),
    ("65,536 tokens", 65536),
    ("131,072 tokens", 131072),
)


class PreferencesPage(QScrollArea):
    def __init__(self, settings: SettingsFile, appearance: Appearance, switch: ApiSwitch) -> None:
        super().__init__()
        self._settings = settings
        self._appearance = appearance
        self._switch = switch
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(18)
        self._grid.setColumnStretch(0, 1)
        self._theme = QComboBox()
        for words, choice in _THEMES:
            self._theme.addItem(words, choice)
        self._theme.setCurrentIndex(self._theme.findData(settings.value.theme))
        self._theme.activated.connect(self._on_theme)
        self._add("Appearance", "Light, dark, or as the system has it.", self._theme)
        self._port = QLineEdit(", ".join(str(port) for port in settings.value.ports))
        self._port.editingFinished.connect(self._on_ports)
        self._add(
            "Port of the local API",
            "11434 is where programs look for Ollama. Several are separated by commas.",
            self._port,
        )
        self._keep_alive = QComboBox()
        for words, seconds in _KEEP_ALIVE:
            self._keep_alive.addItem(words, seconds)
        _choose(self._keep_alive, settings.value.keep_alive_seconds, "seconds")
        self._keep_alive.activated.connect(self._on_keep_alive)
        self._add(
            "Keep a model in memory",
            "After its last answer. Takes effect when Inglenook is opened next.",
            self._keep_alive,
        )
        self._context = QComboBox()
        for words, tokens in _CONTEXTS:
            self._context.addItem(words, tokens)
        _choose(self._context, settings.value.context_length, "tokens")
        self._context.activated.connect(self._on_context)
        self._add(
            "Context length",
            "How much of a chat a model can have in mind. More takes more memory. "
            "Takes effect when Inglenook is opened next.",
            self._context,
        )
        self._lay_out()

    def _add(self, name: str, explanation: str, field: QWidget) -> None:
        row = self._grid.rowCount()
        heading = QLabel(name)
        heading.setObjectName("name")
        heading.setBuddy(field)
        words = QLabel(explanation)
        words.setObjectName("small")
        words.setWordWrap(True)
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(heading)
        column.addWidget(words)
        field.setAccessibleName(name)
        field.setFixedWidth(_FIELD_WIDTH)
        self._grid.addLayout(column, row, 0)
        self._grid.addWidget(field, row, 1, Qt.AlignmentFlag.AlignTop)

    def _lay_out(self) -> None:
        title = QLabel("Settings")
        title.setObjectName("title")
        column = QVBoxLayout()
        column.setSpacing(16)
        column.addWidget(title)
        column.addLayout(self._grid)
        column.addSpacing(12)
        where = QLabel(
            f"Your models, chats and settings lie in {self._settings.home}. "
            f"What goes wrong is written into {LOG_FILE} there."
        )
        where.setObjectName("small")
        where.setWordWrap(True)
        where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addWidget(where)
        column.addStretch()
        inner = QWidget()
        inner.setLayout(column)
        inner.setMaximumWidth(_WIDTH)
        page = QWidget()
        page.setObjectName("scrolled")
        row = QHBoxLayout(page)
        row.setContentsMargins(24, 24, 24, 24)
        row.addStretch(1)
        row.addWidget(inner, 100)
        row.addStretch(1)
        self.setWidget(page)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    @Slot()
    def _on_theme(self) -> None:
        choice = self._theme.currentData()
        self._settings.change(theme=choice)
        self._appearance.choose(choice)

    @Slot()
    def _on_ports(self) -> None:
        typed = self._port.text().replace(",", " ").split()
        ports = tuple(dict.fromkeys(int(each) for each in typed if each.isdecimal()))
        valid = ports and all(port in _PORTS for port in ports) and len(ports) == len(typed)
        if not valid:
            ports = self._settings.value.ports
        self._port.setText(", ".join(str(port) for port in ports))
        if ports != self._settings.value.ports:
            self._settings.change(ports=ports)
            if self._switch.on:
                self._switch.start()

    @Slot()
    def _on_keep_alive(self) -> None:
        self._settings.change(keep_alive_seconds=self._keep_alive.currentData())

    @Slot()
    def _on_context(self) -> None:
        self._settings.change(context_length=self._context.currentData())


def _choose(box: QComboBox, value: float | None, unit: str) -> None:
    """Show a value, also one that somebody wrote into the file by hand."""
    for row in range(box.count()):
        if box.itemData(row) == value:
            box.setCurrentIndex(row)
            return
    box.addItem(f"{value:,.0f} {unit}", value)
    box.setCurrentIndex(box.count() - 1)
