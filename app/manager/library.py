"""The models on this computer, and what can be done with them: the models page's view-model."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import words
from app.task import Task
from models.chat import Origin, UnloadRequest
from models.events import Event
from models.model import Kind, Model
from models.names import ModelName
from models.residency import Residency
from models.resident import Resident
from models.store import Store

_LOOK_EVERY_MS = 1000
_NAME_LENGTH = 80  # characters; as in models.names


ENGINES = {Kind.MLX: "MLX", Kind.LLAMA: "llama.cpp"}


@dataclass(frozen=True, slots=True)
class Installed:
    """One row of the page."""

    model: Model
    resident: Resident | None  # where it is in memory, or on its way there
    missing: bool  # its files are not where they were: a disk that is not connected

    @property
    def name(self) -> str:
        return short_name(self.model.name)


class Library(QObject):
    changed = Signal()  # the models, or which of them are loaded
    failed = Signal(str)  # a sentence for the user
    busy_changed = Signal(str)  # what is being done now, or empty

    def __init__(self, store: Store, residency: Residency, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._residency = residency
        self._models: list[Model] = []
        self._rows: list[Installed] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.refresh()

    @property
    def rows(self) -> list[Installed]:
        return self._rows

    @property
    def chat_models(self) -> list[Model]:
        """Return those that can be chosen for a chat."""
        return [row.model for row in self._rows if not row.missing and row.model.details.chat]

    @Slot()
    def refresh(self) -> None:
        """Read the store anew."""
        self._models = self._store.list()
        self._look()

    def watch(self, on: bool) -> None:
        """While somebody looks at the page, keep up with what others load and unload."""
        if on:
            self.refresh()
            self._timer.start()
        else:
            self._timer.stop()

    def unload(self, name: ModelName) -> None:
        self._residency.submit(UnloadRequest(model=str(name)), _ignore, origin=Origin("window"))
        self._look()

    def remove(self, name: ModelName) -> None:
        """Delete a model, whose files may be large."""

        def work() -> None:
            self._residency.submit(UnloadRequest(model=str(name)), _ignore, origin=Origin("window"))
            self._store.remove(str(name))

        self._do("remove", work, f"Removing {short_name(name)}")

    def import_path(self, path: Path) -> None:
        """Add a GGUF file or an MLX folder where it lies, under a name made of its own."""
        taken = {model.name for model in self._models}
        name = free_name(path, taken)
        self._do("import", lambda: self._store.import_path(path, name), f"Adding {path.name}")

    def _do(self, name: str, work: "Callable[[], object]", says: str) -> None:
        task = Task(name, work, self)
        task.done.connect(self._on_done)
        task.failed.connect(self._on_failed)
        self.busy_changed.emit(says)
        task.start()

    @Slot(object)
    def _on_done(self, _result: object) -> None:
        self.busy_changed.emit("")
        self.refresh()

    @Slot(str)
    def _on_failed(self, sentence: str) -> None:
        self.busy_changed.emit("")
        self.failed.emit(sentence)
        self.refresh()

    @Slot()
    def _look(self) -> None:
        residents = {each.model.name: each for each in self._residency.residents()}
        rows = [
            Installed(model, residents.get(model.name), not model.path.exists())
            for model in self._models
        ]
        if rows != self._rows:
            self._rows = rows
            self.changed.emit()


def short_name(name: ModelName) -> str:
    """Return a name as people say it: without the tag where that says nothing."""
    return str(name).removesuffix(":latest")


def hint_of(model: Model) -> str:
    """Say in a word or two how large a model is and what runs it."""
    return f"{words.size(model.size_bytes)}  ·  {ENGINES[model.kind]}"


def free_name(path: Path, taken: set[ModelName]) -> str:
    """Make a model's name of a file's, one that no other model has."""
    stem = path.stem if path.suffix == ".gguf" else path.name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[: _NAME_LENGTH - 4] or "model"
    name, count = stem, 1
    while ModelName.parse(name) in taken:
        count += 1
        name = f"{stem}-{count}"
    return name


def _ignore(event: Event) -> None:
    """The next look will tell."""
