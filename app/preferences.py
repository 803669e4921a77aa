"""The settings page: a row for each setting that has a label."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from app.centred import CentredPage
from app.setting_kinds import Setting
from app.settings import LOG_FILE, TABLE, Settings, SettingsFile

_FIELD_WIDTH = 240


class PreferencesPage(CentredPage):
    """What is chosen here holds at once: whoever it concerns watches the settings."""

    def __init__(self, settings: SettingsFile) -> None:
        super().__init__()
        self._settings = settings
        self._shows: dict[str, Callable[[object], None]] = {}  # a value in its field
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(18)
        self._grid.setColumnStretch(0, 1)
        for about in TABLE.values():
            if about.label:
                self._add(about)
        self._show(settings.value)
        settings.watch(lambda _was, now: self._show(now))
        title = QLabel("Settings")
        title.setObjectName("title")
        column = QVBoxLayout()
        column.setSpacing(16)
        column.addWidget(title)
        column.addLayout(self._grid)
        column.addSpacing(12)
        column.addWidget(self._whereabouts())
        column.addStretch()
        self.set_column(column)

    def _add(self, about: Setting) -> None:
        row = self._grid.rowCount()
        problem = QLabel()
        problem.setObjectName("error")
        problem.setProperty("kind", "small")
        problem.setWordWrap(True)
        problem.hide()
        field = self._choice(about) if about.choices else self._typed(about, problem)
        field.setAccessibleName(about.label)
        field.setFixedWidth(_FIELD_WIDTH)
        heading = QLabel(about.label)
        heading.setObjectName("name")
        heading.setBuddy(field)
        words = QLabel(about.explanation)
        words.setObjectName("small")
        words.setWordWrap(True)
        column = QVBoxLayout()
        column.setSpacing(2)
        for label in (heading, words, problem):
            column.addWidget(label)
        self._grid.addLayout(column, row, 0)
        self._grid.addWidget(field, row, 1, Qt.AlignmentFlag.AlignTop)

    def _choice(self, about: Setting) -> QWidget:
        box = QComboBox()
        values = [value for _words, value in about.choices]
        for words, value in about.choices:
            box.addItem(words, value)

        def show(value: object) -> None:
            if value not in values:  # somebody set it by hand, or by the command
                values.append(value)
                box.addItem(about.words(value), value)
            box.setCurrentIndex(values.index(value))

        def choose(row: int) -> None:
            self._settings.change(**{about.key: values[row]})

        box.activated.connect(choose)
        self._shows[about.key] = show
        return box

    def _typed(self, about: Setting, problem: QLabel) -> QWidget:
        field = QLineEdit()

        def show(value: object) -> None:
            field.setText(about.kind.show(value))

        def take() -> None:
            """Where what was typed is wrong, say why and go back to what holds."""
            try:
                value = about.kind.parse(field.text())
            except ValueError as error:
                problem.setText(str(error))
                problem.show()
            else:
                problem.hide()
                self._settings.change(**{about.key: value})
            show(getattr(self._settings.value, about.key))

        field.editingFinished.connect(take)
        self._shows[about.key] = show
        return field

    def _show(self, settings: Settings) -> None:
        for key, show in self._shows.items():
            show(getattr(settings, key))

    def _whereabouts(self) -> QLabel:
        where = QLabel(
            f"Your models, chats and settings lie in {self._settings.home}. "
            f"What goes wrong is written into {LOG_FILE} there."
        )
        where.setObjectName("small")
        where.setWordWrap(True)
        where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return where
