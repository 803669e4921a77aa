"""The models page: what is here, what is on its way, and where to get more."""

import re
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
)

from app.centred import CentredPage
from app.icons import show_beside_words
from app.manager.downloads import Download, Downloads
from app.manager.library import Library
from app.manager.rows import DownloadRow, ModelRow, ResultRow
from app.theme import Theme
from models.hub_links import model_at
from models.names import ModelName

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+:[\w.-]+")


class ModelsPage(CentredPage):
    chat_wanted = Signal(str)  # with this model

    def __init__(self, library: Library, downloads: Downloads, theme: Theme) -> None:
        super().__init__()
        self._library = library
        self._downloads = downloads
        self._model_rows: dict[ModelName, ModelRow] = {}
        self._download_rows: dict[Download, DownloadRow] = {}
        self._result_rows: list[ResultRow] = []
        self._add = QPushButton("Add from disk…")
        self._add.setMenu(self._add_menu())
        self._busy = _muted("")
        self._problem = _muted("")
        self._problem.setObjectName("error")
        self._models = _column()
        self._coming = _column()
        self._results = _column()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the Hugging Face hub, or org/model:quantisation")
        self.search.setAccessibleName("Search for models")
        self.search.setClearButtonEnabled(True)
        self.search.returnPressed.connect(self._on_search)
        self._go = QPushButton("Search")
        self._go.clicked.connect(self._on_search)
        self._search_words = _muted("")
        self._build()
        self.set_theme(theme)
        library.changed.connect(self._show_models)
        library.busy_changed.connect(self._on_busy)
        library.failed.connect(self._on_failed)
        downloads.changed.connect(self._show_downloads)
        downloads.searched.connect(self._show_results)
        self._show_models()
        self._show_downloads()
        self._show_results()

    def set_theme(self, theme: Theme) -> None:
        show_beside_words(self._add, "folder", theme.text)
        show_beside_words(self._go, "search", theme.text)

    def _build(self) -> None:
        column = QVBoxLayout()
        column.setSpacing(10)
        head = QHBoxLayout()
        head.addWidget(_title("Models"))
        head.addStretch()
        head.addWidget(self._busy)
        head.addWidget(self._add)
        column.addLayout(head)
        column.addWidget(self._problem)
        column.addLayout(self._coming)
        column.addLayout(self._models)
        column.addSpacing(20)
        column.addWidget(_heading("Get another model"))
        column.addWidget(_muted("They come from the Hugging Face hub, and stay on this computer."))
        line = QHBoxLayout()
        line.addWidget(self.search, 1)
        line.addWidget(self._go)
        column.addLayout(line)
        column.addWidget(self._search_words)
        column.addLayout(self._results)
        column.addStretch()
        self.set_column(column)

    def _add_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("GGUF file…").triggered.connect(self._choose_file)
        menu.addAction("MLX folder…").triggered.connect(self._choose_folder)
        return menu

    # -- What is here ---------------------------------------------------------

    @Slot()
    def _show_models(self) -> None:
        rows = {row.model.name: row for row in self._library.rows}
        for name in [each for each in self._model_rows if each not in rows]:
            _take_away(self._model_rows.pop(name))
        for place, (name, installed) in enumerate(rows.items()):
            if row := self._model_rows.get(name):
                row.show_model(installed)
                continue
            row = ModelRow(installed)
            row.chat_asked.connect(partial(self.chat_wanted.emit, str(name)))
            row.unload_asked.connect(partial(self._library.unload, name))
            row.remove_asked.connect(partial(self._library.remove, name))
            self._model_rows[name] = row
            self._models.insertWidget(place, row)
        self._show_results()

    @Slot()
    def _choose_file(self) -> None:
        path, _kind = QFileDialog.getOpenFileName(
            self, "Add a model", str(Path.home()), "GGUF models (*.gguf)"
        )
        self._import(path)

    @Slot()
    def _choose_folder(self) -> None:
        self._import(QFileDialog.getExistingDirectory(self, "Add a model", str(Path.home())))

    def _import(self, path: str) -> None:
        if path:
            self._problem.setVisible(False)
            self._library.import_path(Path(path))

    @Slot(str)
    def _on_busy(self, words: str) -> None:
        self._busy.setText(words)
        self._busy.setVisible(bool(words))

    @Slot(str)
    def _on_failed(self, sentence: str) -> None:
        self._problem.setText(sentence)
        self._problem.setVisible(True)

    # -- What is coming -------------------------------------------------------

    @Slot()
    def _show_downloads(self) -> None:
        downloads = self._downloads.downloads
        for download in [each for each in self._download_rows if each not in downloads]:
            _take_away(self._download_rows.pop(download))
        for download in downloads:
            if download not in self._download_rows:
                row = DownloadRow(download)
                self._download_rows[download] = row
                self._coming.insertWidget(0, row)
        self._show_results()

    # -- What could be --------------------------------------------------------

    @Slot()
    def _on_search(self) -> None:
        text = self.search.text().strip()
        linked = model_at(text)
        if "//" in text or _REPOSITORY.fullmatch(text):
            self._downloads.download(linked)
        else:
            self._downloads.search(text)

    @Slot()
    def _show_results(self) -> None:
        words = self._downloads.search_words
        self._search_words.setText(words)
        self._search_words.setVisible(bool(words))
        name = "error" if self._downloads.search_failed else "muted"
        self._search_words.setObjectName(name)
        self._search_words.style().polish(self._search_words)
        for row in self._result_rows:
            _take_away(row)
        here = {name.repo.lower() for name in self._model_rows}
        coming = {ModelName.parse(each.name).repo.lower() for each in self._download_rows}
        self._result_rows = []
        for found in self._downloads.results:
            repo = found.repo.lower()
            row = ResultRow(found, here=repo in here, coming=repo in coming)
            row.download_asked.connect(partial(self._downloads.download, found.repo))
            self._result_rows.append(row)
            self._results.addWidget(row)

    # -- Qt's -----------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._library.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._library.watch(False)


def _column() -> QVBoxLayout:
    column = QVBoxLayout()
    column.setSpacing(8)
    return column


def _take_away(row: QFrame) -> None:
    row.hide()
    row.deleteLater()


def _title(words: str) -> QLabel:
    return _named(words, "title")


def _heading(words: str) -> QLabel:
    return _named(words, "heading")


def _muted(words: str) -> QLabel:
    label = _named(words, "muted")
    label.setVisible(bool(words))
    label.setWordWrap(True)
    return label


def _named(words: str, name: str) -> QLabel:
    label = QLabel(words)
    label.setObjectName(name)
    return label
